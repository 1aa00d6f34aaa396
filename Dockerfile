# Serves the hosted demo; for a studio of your own: docker run ... serve --host 0.0.0.0 --auth user:password
# CPU by default. For a GPU: --build-arg TORCH_BACKEND=cu128 (or whatever uv names), and run with --gpus all.
# `make image` builds it with docker or buildah.
ARG BASE=python:3.12-slim

FROM ${BASE} AS packages
ARG TORCH_BACKEND=cpu
# Where packages come from, if not from the index that pip knows. This stage is not part of the image.
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_CERT
WORKDIR /home/tacit/app
COPY requirements.lock pyproject.toml ./
COPY scripts/install.sh scripts/install.sh
RUN TORCH_BACKEND="$TORCH_BACKEND" scripts/install.sh python3 .venv packages
# Nothing is compiled against these packages, nor installed once they are there.
RUN rm -rf .venv/lib/python*/site-packages/torch/include .venv/lib/python*/site-packages/pyarrow/include \
    .venv/lib/python*/site-packages/uv .venv/lib/python*/site-packages/uv-*.dist-info .venv/bin/uv .venv/bin/uvx

FROM ${BASE}
RUN useradd --create-home --uid 1000 tacit
WORKDIR /home/tacit/app
RUN mkdir /home/tacit/workspace && chown tacit:tacit /home/tacit/app /home/tacit/workspace
COPY --from=packages --chown=1000:1000 /home/tacit/app/.venv .venv
COPY --chown=1000:1000 pyproject.toml README.md LICENSE ./
COPY --chown=1000:1000 scripts scripts
COPY --chown=1000:1000 app app
COPY --chown=1000:1000 engine engine
COPY --chown=1000:1000 prompts prompts
COPY --chown=1000:1000 storage storage
USER tacit
RUN scripts/install.sh python3 .venv tacit
ENV PATH="/home/tacit/app/.venv/bin:$PATH" TACIT_WORKSPACE=/home/tacit/workspace
VOLUME /home/tacit/workspace
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "scripts/healthy.py", "http://127.0.0.1:7860/"]
ENTRYPOINT ["tacit"]
CMD ["serve", "--demo", "--host", "0.0.0.0", "--port", "7860"]

# PyPI's torch brings CUDA; for a small CPU image name PyTorch's CPU index: --build-arg TORCH_INDEX_URL=...
# Calls the same script as `make install`.
FROM python:3.12-slim

ARG TORCH_INDEX_URL=
RUN useradd --create-home --uid 1000 tacit
WORKDIR /home/tacit/app
COPY --chown=tacit requirements.lock pyproject.toml README.md LICENSE ./
COPY --chown=tacit scripts scripts
COPY --chown=tacit app app
COPY --chown=tacit engine engine
COPY --chown=tacit prompts prompts
COPY --chown=tacit storage storage
RUN chown tacit /home/tacit/app
USER tacit
RUN TORCH_INDEX_URL="$TORCH_INDEX_URL" scripts/install.sh python3 .venv
ENV PATH="/home/tacit/app/.venv/bin:$PATH" TACIT_WORKSPACE=/home/tacit/workspace
VOLUME /home/tacit/workspace
ENTRYPOINT ["tacit"]
CMD ["demo", "--fast"]

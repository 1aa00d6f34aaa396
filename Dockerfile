# Serves the hosted demo; for a studio of your own: docker run ... serve --host 0.0.0.0 --auth user:password
# CPU by default. For a GPU: --build-arg TORCH_BACKEND=cu128 (or whatever uv names), and run with --gpus all.
# Calls the same script as `make install`.
FROM python:3.12-slim

ARG TORCH_BACKEND=cpu
RUN useradd --create-home --uid 1000 tacit
WORKDIR /home/tacit/app
COPY --chown=tacit requirements.lock pyproject.toml README.md LICENSE ./
COPY --chown=tacit scripts scripts
COPY --chown=tacit app app
COPY --chown=tacit engine engine
COPY --chown=tacit prompts prompts
COPY --chown=tacit storage storage
RUN mkdir /home/tacit/workspace && chown tacit /home/tacit/app /home/tacit/workspace
USER tacit
RUN TORCH_BACKEND="$TORCH_BACKEND" scripts/install.sh python3 .venv
ENV PATH="/home/tacit/app/.venv/bin:$PATH" TACIT_WORKSPACE=/home/tacit/workspace
VOLUME /home/tacit/workspace
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "scripts/healthy.py", "http://127.0.0.1:7860/"]
ENTRYPOINT ["tacit"]
CMD ["serve", "--demo", "--host", "0.0.0.0", "--port", "7860"]

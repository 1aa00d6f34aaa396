"""Teachers behind Mistral's chat completions. https://docs.mistral.ai/api/"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
from mistralai.client import Mistral
from mistralai.client.errors import MistralError, NoResponseError, ResponseValidationError
from mistralai.client.models import CompletionChunk

from engine.errors import ErrorKind, TeacherError, say_cause
from engine.redaction import redact
from engine.teachers.answers import read_completion, read_count, read_tokens
from engine.teachers.hosted import (
    BatchResult,
    BatchState,
    ChatChoice,
    ChatRequest,
    chat_messages,
    explain,
    not_json,
    read_batch_results,
)
from engine.teachers.streaming import NO_JSON_INSIDE, Draft, Hear
from engine.teachers.transport import HttpClient, explain_failure, trusted
from engine.values import Usage

_FAILURES = (MistralError, NoResponseError, httpx2.HTTPError)


class MistralChat:
    """A `Chat` over the official SDK."""

    def __init__(self, endpoint: str, key: str | None) -> None:
        """`endpoint` is the server's URL without `/v1`; empty: Mistral's own."""
        self._key = key
        self._http = HttpClient(follow_redirects=False, verify=trusted())
        self._client = Mistral(
            api_key=key or "none",
            server_url=endpoint or None,
            client=httpx2.Client(follow_redirects=False, verify=trusted()),  # the SDK wants one; nothing is sent by it
            async_client=self._http,
        )

    async def complete(self, ask: ChatRequest) -> ChatChoice:
        """Send one chat completion request.

        Raises:
            TeacherError: with its kind.
        """
        try:
            response = await self._client.chat.complete_async(**_sent(ask))
        except ResponseValidationError as error:  # the SDK wants fields that an answer can do without, as `usage`
            return self.read(error.body)
        except _FAILURES as error:
            raise self._explain(error) from None
        return self._read(response)

    async def stream(self, ask: ChatRequest, hear: Hear) -> ChatChoice:
        """As `complete`, heard as it grows.

        Raises:
            TeacherError: with its kind.
        """
        draft = Draft(self._key, hear)
        try:
            async with await self._client.chat.stream_async(**_sent(ask)) as stream:
                async for event in stream:
                    _grow(draft, event.data)
        except ResponseValidationError as error:
            message = f"the provider failed in the middle of its answer: {error.body}"
            raise draft.failed(ErrorKind.SERVER, message) from None
        except MistralError as error:
            if error.status_code < 400:  # it sent something else than a stream
                return self.read(error.body)
            raise self._explain(error) from None
        except _FAILURES as error:
            failure = self._explain(error)
            raise draft.failed(failure.kind, str(failure)) if draft.text else failure from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise draft.failed(ErrorKind.NOT_JSON, NO_JSON_INSIDE) from None
        return draft.end()

    async def models(self) -> list[str]:
        """Names of the models that the endpoint offers.

        Raises:
            TeacherError: with its kind.
        """
        try:
            response = await self._client.models.list_async()
        except _FAILURES as error:
            raise self._explain(error) from None
        return sorted(redact(str(model.id), self._key) for model in response.data or [])

    async def close(self) -> None:
        """Close its connections."""
        await self._client.__aexit__(None, None, None)
        await self._http.aclose()

    async def submit_batch(self, file: Path, model: str, name: str) -> str:
        """Hand in a file of requests under a name, which stands in the batch's metadata.

        Raises:
            TeacherError: with its kind.
        """
        try:
            with file.open("rb") as content:
                named = {"file_name": file.name, "content": content}
                uploaded = await self._client.files.upload_async(file=named, purpose="batch")
            job = await self._client.batch.jobs.create_async(
                endpoint="/v1/chat/completions", input_files=[uploaded.id], model=model, metadata={"tacit": name}
            )
        except _FAILURES as error:
            raise self._explain(error) from None
        return str(job.id)

    async def find_batch(self, name: str) -> str | None:
        """The newest batch of that name.

        Raises:
            TeacherError: with its kind.
        """
        try:
            page = await self._client.batch.jobs.list_async(page_size=100)
        except _FAILURES as error:
            raise self._explain(error) from None
        return next((job.id for job in page.data or [] if (job.metadata or {}).get("tacit") == name), None)

    async def batch_state(self, batch_id: str) -> BatchState:
        """How far a batch is.

        Raises:
            TeacherError: with its kind.
        """
        try:
            job = await self._client.batch.jobs.get_async(job_id=batch_id)
        except _FAILURES as error:
            raise self._explain(error) from None
        over = job.status in ("SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED")
        reasons = redact("; ".join(error.message for error in job.errors), self._key)
        failed = f"the batch failed: {reasons or 'no reason given'}" if job.status == "FAILED" else ""
        return BatchState(over, job.completed_requests, failed)

    async def batch_results(self, batch_id: str) -> list[BatchResult]:
        """What came of a batch, from its output and its error file.

        Raises:
            TeacherError: with its kind.
        """
        try:
            job = await self._client.batch.jobs.get_async(job_id=batch_id)
            files = [file for file in (job.output_file, job.error_file) if file]
            texts = [(await self._read_file(file)) for file in files]
        except _FAILURES as error:
            raise self._explain(error) from None
        return [result for text in texts for result in read_batch_results(text, self._key)]

    async def _read_file(self, file_id: str) -> str:
        response = await self._client.files.download_async(file_id=file_id)
        return str((await response.aread()).decode("utf-8", "replace"))

    def read(self, body: str) -> ChatChoice:
        """The answer in a response's body.

        Raises:
            TeacherError: not_json if there is none; what an error object means that came in its place.
        """
        return read_completion(body, self._key)

    def _read(self, response: Any) -> ChatChoice:
        if not response.choices:
            raise not_json(redact(response.model_dump_json(), self._key))
        choice = response.choices[0]
        content, reasoning = _split_chunks(choice.message.content)
        return ChatChoice(
            content=redact(content, self._key),
            finish_reason=str(choice.finish_reason or "stop"),
            reasoning=redact(reasoning, self._key),
            reasoning_field="thinking" if reasoning else None,
            usage=_count(response.usage),
            tokens=read_tokens(choice.logprobs.model_dump(by_alias=True)) if choice.logprobs else (),
        )

    def _explain(self, error: Exception) -> TeacherError:
        known = explain_failure(error)
        if known is not None:
            return TeacherError(known.kind, redact(str(known), self._key))
        if isinstance(error, httpx2.TimeoutException):
            return TeacherError(ErrorKind.TIMEOUT, "the endpoint did not answer in time")
        if isinstance(error, MistralError):
            body = redact(error.body, self._key)
            if isinstance(error, ResponseValidationError) or error.status_code < 400:
                return not_json(body)
            return explain(error.status_code, body, error.headers.get("retry-after"))
        cause = f": {said}" if (said := say_cause(error)) else ""
        return TeacherError(
            ErrorKind.CONNECTION, f"the endpoint can't be reached{cause}; check its URL, and that its server is running"
        )


def _sent(ask: ChatRequest) -> dict[str, Any]:
    """One request as the SDK takes it."""
    return {
        "model": ask.model,
        "messages": chat_messages(ask.system, ask.user),
        "timeout_ms": int(ask.timeout_s * 1000),
        "http_headers": {"Idempotency-Key": ask.key} if ask.key else None,
        **ask.options,
    }


def _grow(draft: Draft, chunk: CompletionChunk) -> None:
    """Take one piece of a stream in."""
    draft.count(empty=not chunk.choices and chunk.usage is None)
    for choice in chunk.choices[:1]:
        content, reasoning = _split_chunks(choice.delta.content)
        draft.add(content, reasoning, "thinking")
        draft.note(choice.finish_reason)
    draft.note(usage=_count(chunk.usage))


def _count(usage: Any) -> Usage:
    """Token counts; a usage of nothing at all is what the SDK makes of none."""
    if not usage or not usage.total_tokens:
        return Usage()
    return Usage(read_count(usage.prompt_tokens), read_count(usage.completion_tokens))


def _split_chunks(content: Any) -> tuple[str, str]:
    """What a message says, and what it thought: content is text, or chunks of text and thought."""
    if isinstance(content, str):
        return content, ""
    said: list[str] = []
    thought: list[str] = []
    for chunk in content if isinstance(content, list) else []:
        if getattr(chunk, "type", None) == "thinking":
            thought += [str(part.text) for part in chunk.thinking if getattr(part, "text", None)]
        elif getattr(chunk, "text", None):
            said.append(str(chunk.text))
    return "".join(said), "".join(thought)

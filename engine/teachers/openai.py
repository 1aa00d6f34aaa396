"""Teachers behind the OpenAI chat completions protocol: OpenAI, vLLM, Ollama, llama-server, `transformers serve`.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import openai

from engine.errors import ErrorKind, TeacherError, say_cause
from engine.redaction import redact
from engine.teachers.answers import find_reasoning, load_body, read_completion, read_usage, split_content
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
from engine.teachers.transport import AioHttpClient, explain_failure, trusted

_WHOLE = re.compile(r"\b(json|html)\b")
"""Types of what is no stream of events."""


class OpenAIChat:
    """A `Chat` over the official SDK. Without a key no Authorization header is sent."""

    def __init__(self, endpoint: str, key: str | None) -> None:
        """`endpoint` is a base URL as `http://127.0.0.1:8000/v1`; empty: OpenAI's own."""
        self._key = key
        # The SDK takes OPENAI_API_KEY from the environment where it is given no key: not for somebody else's server.
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=endpoint or "https://api.openai.com/v1",
            max_retries=0,
            http_client=AioHttpClient(follow_redirects=False, verify=trusted()),
        )
        self._headers: dict[str, Any] = {} if key else {"Authorization": openai.Omit()}

    async def complete(self, ask: ChatRequest) -> ChatChoice:
        """Send one chat completion request.

        Raises:
            TeacherError: with its kind.
        """
        try:
            response = await self._post(ask, httpx2.Response)
        except openai.OpenAIError as error:
            raise self._explain(error) from None
        return self.read(response.text)

    async def stream(self, ask: ChatRequest, hear: Hear) -> ChatChoice:
        """As `complete`, heard as it grows: server-sent events, with the count of tokens in the last.

        Raises:
            TeacherError: with its kind.
        """
        draft = Draft(self._key, hear)
        asked = replace(ask, options={**ask.options, "stream": True, "stream_options": {"include_usage": True}})
        try:
            async with await self._post(asked, object, stream=True, stream_cls=openai.AsyncStream[object]) as stream:
                if _WHOLE.search(stream.response.headers.get("content-type", "")):
                    return self.read((await stream.response.aread()).decode("utf-8", "replace"))
                async for chunk in stream:
                    _grow(draft, chunk)
        except (openai.APIStatusError, openai.APIConnectionError) as error:
            failure = self._explain(error)
            raise draft.failed(failure.kind, str(failure)) if draft.text else failure from None
        except openai.OpenAIError as error:
            raise draft.failed(ErrorKind.SERVER, f"the provider failed in the middle of its answer: {error}") from None
        except httpx2.HTTPError as error:
            failure = self._explain(error)
            raise draft.failed(failure.kind, str(failure)) if draft.text else failure from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise draft.failed(ErrorKind.NOT_JSON, NO_JSON_INSIDE) from None
        return draft.end()

    async def _post(self, ask: ChatRequest, cast_to: Any, **how: Any) -> Any:
        """Send one request in its own form; `create` would walk through the whole body each time."""
        headers = {**self._headers, **({"Idempotency-Key": ask.key} if ask.key else {})}
        # Told the key too, the SDK makes none of its own, which it would not send and for which it asks the system.
        options: Any = {"headers": headers, "timeout": ask.timeout_s}
        if ask.key:
            options["idempotency_key"] = ask.key
        return await self._client.post(
            "/chat/completions",
            cast_to=cast_to,
            body={"model": ask.model, "messages": chat_messages(ask.system, ask.user), **ask.options},
            options=options,
            **how,
        )

    async def models(self) -> list[str]:
        """Names of the models that the endpoint offers.

        Raises:
            TeacherError: with its kind.
        """
        try:
            response = await self._client.models.with_raw_response.list(extra_headers=self._headers)
        except openai.OpenAIError as error:
            raise self._explain(error) from None
        text = response.http_response.text
        try:
            return sorted(redact(str(model["id"]), self._key) for model in load_body(text)["data"])
        except (ValueError, LookupError, TypeError, RecursionError):
            raise not_json(redact(text, self._key)) from None

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def submit_batch(self, file: Path, model: str, name: str) -> str:
        """Hand in a file of requests under a name, which stands in the batch's metadata.

        Raises:
            TeacherError: with its kind.
        """
        try:
            uploaded = await self._client.files.create(file=file, purpose="batch", extra_headers=self._headers)
            batch = await self._client.batches.create(
                completion_window="24h",
                endpoint="/v1/chat/completions",
                input_file_id=uploaded.id,
                metadata={"tacit": name},
                extra_headers=self._headers,
            )
        except openai.OpenAIError as error:
            raise self._explain(error) from None
        return batch.id

    async def find_batch(self, name: str) -> str | None:
        """The newest batch of that name.

        Raises:
            TeacherError: with its kind.
        """
        try:
            page = await self._client.batches.list(limit=100, extra_headers=self._headers)
        except openai.OpenAIError as error:
            raise self._explain(error) from None
        return next((batch.id for batch in page.data if (batch.metadata or {}).get("tacit") == name), None)

    async def batch_state(self, batch_id: str) -> BatchState:
        """How far a batch is.

        Raises:
            TeacherError: with its kind.
        """
        try:
            batch = await self._client.batches.retrieve(batch_id, extra_headers=self._headers)
        except openai.OpenAIError as error:
            raise self._explain(error) from None
        over = batch.status in ("completed", "expired", "cancelled", "failed")
        reasons = "; ".join(str(e.message) for e in (batch.errors.data or [])) if batch.errors else ""
        failed = (
            f"the batch failed: {redact(reasons, self._key) or 'no reason given'}" if batch.status == "failed" else ""
        )
        return BatchState(over, batch.request_counts.completed if batch.request_counts else 0, failed)

    async def batch_results(self, batch_id: str) -> list[BatchResult]:
        """What came of a batch, from its output and its error file.

        Raises:
            TeacherError: with its kind.
        """
        try:
            batch = await self._client.batches.retrieve(batch_id, extra_headers=self._headers)
            files = [file for file in (batch.output_file_id, batch.error_file_id) if file]
            texts = [(await self._client.files.content(file, extra_headers=self._headers)).text for file in files]
        except openai.OpenAIError as error:
            raise self._explain(error) from None
        return [result for text in texts for result in read_batch_results(text, self._key)]

    def read(self, body: str) -> ChatChoice:
        """The answer in a response's body.

        Raises:
            TeacherError: not_json if there is none; what an error object means that came in its place.
        """
        return read_completion(body, self._key)

    def _explain(self, error: BaseException) -> TeacherError:
        known = explain_failure(error)
        if known is not None:
            return TeacherError(known.kind, redact(str(known), self._key))
        if isinstance(error, openai.APITimeoutError) and not _is_unreachable(error):
            return TeacherError(ErrorKind.TIMEOUT, "the endpoint did not answer in time")
        if isinstance(error, openai.APIStatusError):
            headers = error.response.headers
            return explain(error.status_code, redact(error.response.text, self._key), headers.get("retry-after"))
        if isinstance(error, (openai.APIConnectionError, httpx2.HTTPError)):
            return self._unreachable(error.__cause__ or error)
        return TeacherError(ErrorKind.NOT_JSON, "the endpoint's answer can't be read: it is not what its protocol says")

    def _unreachable(self, error: BaseException) -> TeacherError:
        cause = f": {said}" if (said := say_cause(error)) else ""
        return TeacherError(
            ErrorKind.CONNECTION, f"the endpoint can't be reached{cause}; check its URL, and that its server is running"
        )


def _grow(draft: Draft, chunk: Any) -> None:
    """Take one piece of a stream in; the last, of usage alone, has no choice."""
    draft.note(usage=read_usage(chunk.get("usage")))
    choices = [choice for choice in chunk.get("choices") or () if not choice.get("index")]
    draft.count(empty=not chunk.get("choices") and not chunk.get("usage"))
    for choice in choices:
        delta = choice.get("delta") or {}
        source = find_reasoning(delta)
        draft.add(
            content=split_content(delta.get("content"))[0],
            reasoning=delta[source] if source else "",
            source=source,
            refusal=split_content(delta.get("refusal"))[0],
        )
        draft.note(choice.get("finish_reason"))


def _is_unreachable(error: BaseException) -> bool:
    """Whether no connection came about or it broke: the transport calls these timeouts too."""
    cause = error.__cause__ or error.__context__
    refused = isinstance(error, (OSError, aiohttp.ClientConnectionError)) and not isinstance(error, TimeoutError)
    return refused or (cause is not None and _is_unreachable(cause))

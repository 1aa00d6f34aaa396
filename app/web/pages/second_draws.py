"""The part of Save that orders second draws, which agreement of two draws goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.usecases.serving.draws import DrawQuote, say_quote
from app.web.choices import read_number
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.code import command_html
from app.web.parts.messages import notice_html
from engine.errors import InputError, StateError
from engine.second_draws import HOTTEST, TEMPERATURE
from storage.runs import Run

_ABOUT = (
    "A student that states the same label when its answer is drawn a second time, sampled, is more often right. Ask "
    "for second draws of the held-out answers here, then let students answer by agreement of two draws. A student that "
    "is asked so answers twice: tokens, money and time count both."
)


def build(frame: Frame, run: gr.Dropdown, students: gr.Dropdown) -> None:
    """Lay it out behind the form, folded, and bind its handlers."""
    do = _Handlers(frame)
    with gr.Accordion("Second draws", open=False):
        lay_html(f"<p class='quiet'>{_ABOUT}</p>")
        with gr.Row():
            temperature = gr.Textbox(
                f"{TEMPERATURE:g}",
                label="Temperature",
                info=f"up to {HOTTEST:g}",
                max_length=10,
                scale=0,
                min_width=160,
            )
            draw = gr.Button("Draw second answers", interactive=False, scale=0, min_width=190)
        said = lay_html()
    asked = [run, students, temperature]
    frame.fill_live([said, draw], asked, do.quote)
    for event in (run.change, students.change, temperature.blur):
        last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
        event(frame.guard(do.quote), [frame.project, *asked], [said, draw], **last)
    frame.follow(draw.click(frame.guard(do.order), [frame.project, *asked], [said, draw, frame.timer], **frame.quiet))


@dataclass(frozen=True)
class _Handlers:
    """What its events do; each is given the project, the run, the students that are asked, and the temperature."""

    frame: Frame

    @property
    def services(self) -> Any:
        """The use cases."""
        return self.frame.services

    def quote(self, project: str, run: str | None, students: list[str] | None, temperature: str | None) -> list[Any]:
        """What drawing will take, and whether it can be asked for."""
        if not run:
            return ["", gr.Button(interactive=False)]
        try:
            quote = self._quote(self._run(project, run), students, temperature)
        except (InputError, StateError) as error:
            return [notice_html(f"{str(error)[:1].upper()}{str(error)[1:]}", tone="warn"), gr.Button(interactive=False)]
        command = ["tacit", "evaluate", run[:8], "--second-draw", f"{quote.temperature:g}"]
        command += [part for name in quote.students for part in ("--of", name)]
        notice = notice_html(say_quote(quote), tone="" if quote.answers else "good")
        return [notice + command_html(command), gr.Button(interactive=quote.answers > 0)]

    def order(self, project: str, run: str | None, students: list[str] | None, temperature: str | None) -> list[Any]:
        """Have them drawn."""
        run_record = self._run(project, run)
        quote = self._quote(run_record, students, temperature)
        self.services.draws.order(run_record, quote.students, quote.temperature)
        notice = notice_html("Being drawn. Agreement of two draws can be chosen above once that is done.")
        return [notice, gr.Button(interactive=False), gr.Timer(active=True)]

    def _run(self, project: str, run: str | None) -> Run:
        record: Run = self.services.reading.run_of(project, run)
        return record

    def _quote(self, run: Run, students: list[str] | None, temperature: str | None) -> DrawQuote:
        given = read_number(temperature, "Temperature", 0, HOTTEST)
        quote: DrawQuote = self.services.draws.quote(
            run, tuple(students or ()), TEMPERATURE if given is None else given
        )
        return quote

"""What teaching is worth to this voice: each example is judged by a head that was fitted without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ser_model.adaptation.taught_head import TaughtExample, TaughtHead, fit_head
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Examples of one label, and how many of them are right."""

    label: str
    examples: int
    before: int
    """Right by the network alone."""
    after: int
    """Right by a head that has not seen the example."""


@dataclass(frozen=True, slots=True)
class Worth:
    """The result of leaving every example out in turn."""

    labels: tuple[LabelCount, ...]
    """In the order of `LABELS`, those with examples."""

    @property
    def examples(self) -> int:
        """Examples in all."""
        return sum(one.examples for one in self.labels)

    @property
    def before(self) -> int:
        """Right by the network alone."""
        return sum(one.before for one in self.labels)

    @property
    def after(self) -> int:
        """Right after teaching."""
        return sum(one.after for one in self.labels)

    @property
    def is_worthwhile(self) -> bool:
        """Whether more are right after teaching."""
        return self.after > self.before

    def to_text(self) -> str:
        """Return lines for a person."""
        lines = [
            f"Of your {self.examples} sentences {self.before} were right before, {self.after} after teaching.",
            "(Each was left out, with one of every other label, and judged by the others.)",
            f"{'':12}{'before':>8}{'after':>8}{'of':>6}",
        ]
        lines += [f"{one.label:12}{one.before:8}{one.after:8}{one.examples:6}" for one in self.labels]
        if self.after < self.before:
            lines.append("By these sentences it is not worth using: fewer are right after teaching than before.")
        elif not self.is_worthwhile:
            lines.append("By these sentences it is not worth using: no more are right than before.")
        return "\n".join(lines)


def leave_out_in_turn(
    examples: Sequence[TaughtExample],
    metadata: ModelMetadata,
    advance: Callable[[int, int], None] = lambda done, of: None,
) -> Worth:
    """Judge every example by the network alone, and by a head that was fitted without it.

    One example of every label is left out at a time. If it were one alone, its label would be the rarest of the rest,
    and the head would lean away from it. Over 120 draws of three examples a label (EmoDB, AESDD), one alone says a
    loss of 1.5 points; one of every label says a gain of 5.4. On the speakers' other recordings it is 6.0.

    Args:
        examples: of one voice, at most `ser_model.adaptation.taught_head.MOST_EXAMPLES`.
        metadata: of the network.
        advance: called after each fit with the number of those that are done, and of all.
    """
    own = {label: [one for one in examples if one.label == label] for label in LABELS}
    own = {label: ones for label, ones in own.items() if ones}
    after = dict.fromkeys(own, 0)
    turns = max(map(len, own.values()), default=0)
    for turn in range(turns):
        # A label with fewer examples leaves out some of them again, unless it has but one.
        out = {label: ones[turn % len(ones)] for label, ones in own.items() if len(ones) > 1 or turn == 0}
        absent = {id(one) for one in out.values()}
        rest = [one for one in examples if id(one) not in absent]
        head = fit_head(rest, metadata.temperatures().long, whitening=metadata.whitening)
        for label, one in out.items():
            if turn < len(own[label]):
                after[label] += _is_right(one, head)
        advance(turn + 1, turns)
    return Worth(
        tuple(
            LabelCount(label, len(ones), sum(_is_right(one, None) for one in ones), after[label])
            for label, ones in own.items()
        )
    )


def _is_right(example: TaughtExample, head: TaughtHead | None) -> bool:
    logits = example.logits if head is None else head.apply(example.logits, example.embedding)
    return LABELS[int(logits.argmax())] == example.label

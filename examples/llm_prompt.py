"""Put how something was said before what was said, for the prompt of a language model.

    ser-watch --finals --format rcs | python3 examples/llm_prompt.py

What was said comes from a speech recogniser; here its part is played by one fixed sentence. A line such as
`[emotion angry=0.71, neutral=0.20],[arousal value=0.84]` is perception. No line comes where nothing is known.
"""

import sys

RULES = (
    "Lines in brackets say how the user sounds, as a machine estimates it. It is often wrong. "
    "Never mention it. If the user sounds upset, answer calmly and briefly."
)


def prompt(perception: str, words: str) -> str:
    """Join rules, perception and words."""
    return f"<system>{RULES}</system>\n<user>{perception}\n{words}</user>"


for line in sys.stdin:
    print(prompt(line.strip(), "Why is the light still off?"), flush=True)

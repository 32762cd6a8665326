"""The offline scanners of ``gorget``, LLM Guard's continuation, on obfuscated swearing, beside this package.

Both look for the same words: the strong ones of the public lexicon. The texts are those of
``benchmarks.obfuscation`` in which each finds a word while they are clean, so that recall without an attack is 100% for
both, and the benign ones in which neither does. ``gorget`` has two scanners that need no model and bear on this:
``BanSubstrings`` (on words) and ``InvisibleText``; its toxicity and gibberish scanners need models from a hub.

``gorget`` is no dependency. Run this where both packages can be imported: ``python -m benchmarks.obfuscation_gorget
--texts FILE``, with the file that ``python -m benchmarks.obfuscation --texts-to FILE`` wrote.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from gorget.input_scanners import BanSubstrings, InvisibleText
from gorget.input_scanners.ban_substrings import MatchType
from gorget.util import configure_logger

from benchmarks.attacks_chars import ATTACKS, attack
from benchmarks.kept import keep
from guard.canonical import canonicalize, fold
from guard.views import views
from guard.views.words import swears

RESULTS = Path(__file__).parent / "results" / "obfuscation_gorget.json"

Scan = Callable[[str], bool]


def our_words(text: str) -> bool:
    """Whether a strong swear word is in the folded canonical text or in one of its readings."""
    form = canonicalize(text)
    forms = [form, *(view.form for view in views(form))]
    return any(not swears().isdisjoint("".join(c if c.isalpha() else " " for c in fold(f).text).split()) for f in forms)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True)
    options = parser.parse_args(argv)
    configure_logger("CRITICAL")
    texts = json.loads(options.texts.read_text(encoding="utf-8"))
    banned = BanSubstrings(sorted(swears()), match_type=MatchType.WORD)
    invisible = InvisibleText()
    scans: dict[str, Scan] = {
        "gorget BanSubstrings": lambda text: not banned.scan(text)[1],
        "gorget InvisibleText": lambda text: not invisible.scan(text)[1],
        "words, canonical and views": our_words,
    }
    words = [text for text in texts["toxic"] if scans["gorget BanSubstrings"](text) and our_words(text)]
    benign = [text for text in texts["benign"] if not scans["gorget BanSubstrings"](text) and not our_words(text)]
    report: dict[str, object] = {"n_toxic": len(words), "n_benign": len(benign)}
    print(report)
    for name in ATTACKS:
        hits, alarms = ([attack(text, name, seed=0) for text in group] for group in (words, benign))
        row = {scan: (share(run, hits), share(run, alarms)) for scan, run in scans.items()}
        print(f"{name:22s}", "   ".join(f"{scan} {hit:5.1f}/{alarm:5.1f}" for scan, (hit, alarm) in row.items()))
        report[name] = {scan: {"recall": hit, "false alarms": alarm} for scan, (hit, alarm) in row.items()}
    keep(report, RESULTS)


def share(run: Scan, texts: Sequence[str]) -> float:
    """Return the share of texts that a scan flags, in percent."""
    return round(100 * sum(map(run, texts)) / len(texts), 2)


if __name__ == "__main__":
    main()

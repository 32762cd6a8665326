from __future__ import annotations

import itertools
import json
import random
import string
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from guard.errors import ConfigError
from guard.filters.pii import PiiFilter
from guard.schema import Filter, Locator, check_scores

THRESHOLD = 0.5

# Numbers here are published examples or made up to pass their checks; nobody's.
IDENTIFIERS = [
    ("Write to jo.smith+news@mail.example.org today", "pii_email", "jo.smith+news@mail.example.org"),
    ("邮箱是zhang@example.com，谢谢", "pii_email", "zhang@example.com"),
    ("https://x.org/" + "a" * 100 + "?email=jo@example.org&x=1", "pii_email", "jo@example.org"),
    ("a" * 100 + "@example.org", "pii_email", "a" * 64 + "@example.org"),
    ("jo (at) example (dot) org", "pii_email", "jo (at) example (dot) org"),
    ("email me: jo at example dot org", "pii_email", "jo at example dot org"),
    ("call (212) 555-1234 now", "pii_phone", "(212) 555-1234"),
    ("+44 20 7946 0958", "pii_phone", "+44 20 7946 0958"),
    ("my mobile is 9347572623", "pii_phone", "9347572623"),
    ("手机号13812345678。", "pii_phone", "13812345678"),
    ("tel: ０１０-６２７８５５５５", "pii_phone", "０１０-６２７８５５５５"),
    ("pay with 4111 1111 1111 1111", "pii_card", "4111 1111 1111 1111"),
    ("5500005555555559", "pii_card", "5500005555555559"),
    ("3782 822463 10005", "pii_card", "3782 822463 10005"),
    ("6212261234567890128", "pii_card", "6212261234567890128"),
    ("银行卡6212261234567890128", "pii_card", "6212261234567890128"),
    ("card ٤١١١١١١١١١١١١١١١", "pii_card", "٤١١١١١١١١١١١١١١١"),
    ("4111.1111.1111.1111", "pii_card", "4111.1111.1111.1111"),
    ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "pii_card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", "pii_card", "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1"),
    ("41 11 11 11 11 11 11 11", "pii_card", "41 11 11 11 11 11 11 11"),
    ("my card number is 1230 3698 4587 1024", "pii_card", "1230 3698 4587 1024"),
    ("IBAN DE89 3704 0044 0532 0130 00", "pii_bank", "DE89 3704 0044 0532 0130 00"),
    ("GB82 WEST 1234 5698 7654 32", "pii_bank", "GB82 WEST 1234 5698 7654 32"),
    ("routing number 021000021", "pii_bank", "021000021"),
    ("bank account 954567876544", "pii_bank", "954567876544"),
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "pii_crypto", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("0x52908400098527886E0F7030069857D2E4169EE7", "pii_crypto", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ("logged in from 93.184.216.34", "pii_network", "93.184.216.34"),
    ("2001:4860:4860::8888", "pii_network", "2001:4860:4860::8888"),
    ("00:1B:44:11:3A:B7", "pii_network", "00:1B:44:11:3A:B7"),
    ("我的身份证号是11010519491231002X", "pii_identity", "11010519491231002X"),
    ("110105 19491231 002x", "pii_identity", "110105 19491231 002x"),
    ("457-55-5462", "pii_identity", "457-55-5462"),
    ("my ssn is 457555462", "pii_identity", "457555462"),
    ("the last four of my ssn is 2574", "pii_identity", "2574"),
    ("account number 5476 ssn 2461", "pii_identity", "2461"),
    ("AB 12 34 56 C", "pii_identity", "AB 12 34 56 C"),
    ("passport C01X00T47", "pii_identity", "C01X00T47"),
    ("my driver's license D1234567", "pii_identity", "D1234567"),
    ("Aadhaar 2345 6789 0124", "pii_identity", "2345 6789 0124"),
    ("PESEL 44051401359", "pii_identity", "44051401359"),
    ("NHS number 943 476 5919", "pii_health", "943 476 5919"),
    ("Medicare 1EG4-TE5-MK73", "pii_health", "1EG4-TE5-MK73"),
]

NEAR_MISSES = [
    "order 4111111111111112",
    "order number 9876543210",
    "tracking 1Z999AA10123456784",
    "ISBN 978-3-16-148410-0",
    "ISBN 0-306-40615-2",
    "version 1.2.3.4",
    "python 3.11.4.1",
    "the router is 192.168.0.1 or ::1",
    "2018-11-25 12:30:45.123",
    "25/11/2018 and 05-12-2018",
    "1700000000 and 1700000000123",
    "550e8400-e29b-41d4-a716-446655440000",
    "9fceb02d0ae598e95dc970b74767f19372d61af8",
    "commit 9fceb02, color #ff5733",
    "it cost $1,234,567.89 or 1,234,567",
    "pi is 3.14159265358979",
    "from 2018 to 2020 and 2021 2022",
    "110105194912310021",  # the check character is wrong
    "11010519491331002X",  # there is no thirteenth month
    "4111111111111112",
    "0000 0000 0000 0000",
    "DE89 3704 0044 0532 0130 02",
    "548787884",
    "@someone said user@localhost, a@b",
    "social media in 2019",
    "meet me at noon dot",
    "rows 1-2-3-4-5-6-7-8-9",
    "10:30:45",
    "write to [EMAIL_1], call [PHONE_1] or pay with card [CARD_12345678]",
    "x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
]

CONTRACT_TEXTS = ["jo@example.org", "nothing here", "", "4111111111111111", "IBAN DE89 3704 0044 0532 0130 00", "1234"]
STRANGE = [
    "",
    " ",
    "\x00",
    "\ud800",
    "1\udfff@",
    "\u202e4111\u200b111111111111",
    "ﷺ1" * 100,
    "\U0010ffff@1",
    "İ1234567@x.y",
]


@pytest.fixture(scope="module")
def pii() -> PiiFilter:
    made = PiiFilter()
    made.prepare()
    return made


@pytest.mark.parametrize(("text", "category", "value"), IDENTIFIERS)
def test_identifier_is_found_where_it_stands(pii: PiiFilter, text: str, category: str, value: str) -> None:
    spans = [span for span in pii.locate(text) if span.score >= THRESHOLD]
    assert [(span.category, text[span.start : span.end]) for span in spans] == [("pii", value), (category, value)]
    row = dict(zip(pii.categories, pii.score_batch([text])[0].tolist(), strict=True))
    assert row["pii"] == row[category] >= THRESHOLD
    assert max(score for name, score in row.items() if name not in ("pii", category)) < THRESHOLD


@pytest.mark.parametrize("text", NEAR_MISSES)
def test_near_miss_scores_low(pii: PiiFilter, text: str) -> None:
    assert pii.score_batch([text]).max() < THRESHOLD


@pytest.mark.parametrize(
    "value",
    ["jo@example.org", "4111111111111111", "+442079460958", "DE89370400440532013000", "457-55-5462", "93.184.216.34"],
)
@pytest.mark.parametrize("hide", ["\u200b", "\u2060", "\u00ad", "\U000e0061\U000e007f"])
def test_invisible_characters_hide_nothing(pii: PiiFilter, value: str, hide: str) -> None:
    middle = len(value) // 2
    text = f"so {value[:middle]}{hide}{value[middle:]} it is"
    spans = [span for span in pii.locate(text) if span.score >= THRESHOLD]
    assert {(span.start, span.end) for span in spans} == {(3, 3 + len(value) + len(hide))}


@pytest.mark.parametrize(
    "value", ["jo@example.org", "4111 1111 1111 1111", "+44 20 7946 0958", "DE89370400440532013000"]
)
def test_full_width_forms_hide_nothing(pii: PiiFilter, value: str) -> None:
    wide = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in value)
    assert pii.score_batch([wide]).max() >= THRESHOLD


def test_context_raises_and_other_names_lower_a_score(pii: PiiFilter) -> None:
    alone, named, otherwise = pii.score_batch(["9347572623", "phone 9347572623", "ticket 9347572623"])[:, 0]
    assert otherwise < alone < named


def test_several_findings_do_not_overlap(pii: PiiFilter) -> None:
    text = "jo@example.org, card 4111 1111 1111 1111, phone (212) 555-1234, IP 93.184.216.34 and al@example.org"
    spans = [span for span in pii.locate(text) if span.category != "pii"]
    assert [span.category for span in spans] == ["pii_email", "pii_card", "pii_phone", "pii_network", "pii_email"]
    assert all(one.end <= other.start for one, other in itertools.pairwise(spans))


def test_keeps_the_contract_of_filters(pii: PiiFilter) -> None:
    assert isinstance(pii, Filter)
    assert isinstance(pii, Locator)
    together = check_scores(pii.score_batch(CONTRACT_TEXTS), n_items=len(CONTRACT_TEXTS), filter_=pii)
    assert np.array_equal(together, np.concatenate([pii.score_batch([text]) for text in CONTRACT_TEXTS]))
    check_scores(pii.score_batch([]), n_items=0, filter_=pii)
    for text, row in zip(CONTRACT_TEXTS, together, strict=True):
        scored = {category for category, score in zip(pii.categories, row, strict=True) if score > 0}
        assert {span.category for span in pii.locate(text)} == scored


@pytest.mark.parametrize("text", STRANGE)
def test_strange_text_is_scored(pii: PiiFilter, text: str) -> None:
    check_scores(pii.score_batch([text]), n_items=1, filter_=pii)
    assert all(0 <= span.start < span.end <= len(text) for span in pii.locate(text))


def test_end_of_a_long_text_counts(pii: PiiFilter) -> None:
    text = "the year 1999 was fine " * 2000 + "jo@example.org"
    assert pii.locate(text)[0].start == len(text) - len("jo@example.org")


@pytest.mark.parametrize(
    "piece", ["1 2 3 4 5 ", "a.", "a@", "1234567890", "4111 1111 1111 1111 ", "x1:", "a1b2c3d4", "social "]
)
def test_cost_is_linear_in_the_text(pii: PiiFilter, piece: str) -> None:
    def seconds(n_characters: int) -> float:
        text = (piece * n_characters)[:n_characters]
        started = time.perf_counter()
        pii.score_batch([text])
        return time.perf_counter() - started

    seconds(1000)
    # 8 times the text takes 8 times as long; quadratic cost would take 64 times.
    assert min(seconds(20_000), seconds(20_000)) < 24 * min(seconds(2_500), seconds(2_500)) + 0.05


def test_a_number_at_the_edge_of_a_window_is_found_whole(pii: PiiFilter) -> None:
    for shift in range(0, 620, 31):
        text = "7-" * (shift // 2) + " 4111 1111 1111 1111 " + "3/" * 400
        assert "4111 1111 1111 1111" in {text[span.start : span.end] for span in pii.locate(text)}


def test_name_says_what_it_depends_on(pii: PiiFilter) -> None:
    assert pii.name == PiiFilter().name
    assert pii.name != PiiFilter(regions=["US"]).name
    assert pii.name.startswith("pii@")


def test_regions_decide_which_national_numbers_are_read() -> None:
    text = "tel 030 901820"
    assert PiiFilter(regions=["DE"]).score_batch([text]).max() >= THRESHOLD
    assert PiiFilter(regions=["US"]).score_batch([text]).max() < THRESHOLD


@pytest.mark.parametrize("regions", ["US", []])
def test_regions_must_be_a_list(regions: list[str]) -> None:
    with pytest.raises(ConfigError, match="ISO 3166"):
        PiiFilter(regions=regions)


def test_names_without_a_model_are_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"spacy download no_such_model.*leave names out"):
        PiiFilter(names="no_such_model")


def test_names_are_found_with_a_model(tmp_path: Path) -> None:
    import spacy

    language = spacy.blank("en")
    ruler = language.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": "Ada Lovelace"}, {"label": "GPE", "pattern": "London"}])
    language.to_disk(tmp_path / "model")
    pii = PiiFilter(names=str(tmp_path / "model"))
    assert {"pii_name", "pii_place"} <= set(pii.categories)
    text = "Ada Lovelace of London"
    spans = [(span.category, text[span.start : span.end]) for span in pii.locate(text) if span.category != "pii"]
    assert spans == [("pii_name", "Ada Lovelace"), ("pii_place", "London")]
    assert pii.name != PiiFilter().name


def test_ordinary_requests_raise_no_alarm(pii: PiiFilter, shared_data: Path) -> None:
    lines = (shared_data / "banking77" / "banking77.csv").read_text(encoding="utf-8").splitlines()
    assert (pii.score_batch(lines[1:2001]).max(axis=1) >= THRESHOLD).mean() <= 0.005


WHOLE_PRESIDIO = """
import json, sys
from presidio_analyzer import predefined_recognizers
from guard.filters.private_package import PrivatePackage

def refuse(self, module, name):
    raise ImportError(f"{module} is laid out otherwise")

PrivatePackage.get = refuse
from guard.filters import pii_recognizers
from guard.filters.pii import PiiFilter

class Phone(predefined_recognizers.PhoneRecognizer):
    def __init__(self, regions):
        super().__init__(supported_regions=regions)
        self.each = [predefined_recognizers.PhoneRecognizer(supported_regions=(region,)) for region in regions]

    def analyze(self, text, entities, nlp_artifacts=None):
        for one in self.each[:1] if text.startswith("+") else self.each:
            if results := one.analyze(text, entities):
                return results
        return []

pii_recognizers._PhoneRecognizer = Phone
pii_recognizers._OWN["IbanRecognizer"] = predefined_recognizers.IbanRecognizer
assert pii_recognizers.PatternRecognizer is predefined_recognizers.IbanRecognizer.__mro__[1]
pii = PiiFilter()
found = [[[s.start, s.end, s.category, s.score] for s in pii.locate(text)] for text in json.load(sys.stdin)]
print(json.dumps(["spacy" in sys.modules, found]))
"""
WITHOUT_SPACY = """
import json, sys
from guard.filters.pii import PiiFilter
pii = PiiFilter()
found = [[[s.start, s.end, s.category, s.score] for s in pii.locate(text)] for text in json.load(sys.stdin)]
print(json.dumps(["spacy" in sys.modules, found]))
"""


def in_a_process(program: str, texts: list[str]) -> tuple[bool, list[object]]:
    done = subprocess.run([sys.executable, "-c", program], input=json.dumps(texts), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    spacy, found = json.loads(done.stdout)
    return spacy, found


def mixed(text: str, others: list[str], draw: random.Random) -> str:
    """Change some digits and separators, join with others, cut: near misses of everything."""
    changed = list(text)
    for place in draw.sample(range(len(changed)), k=min(len(changed), draw.choice([0, 0, 1, 2]))):
        pool = string.digits if changed[place].isdigit() else " -./" + string.ascii_uppercase
        changed[place] = draw.choice(pool)
    joined = draw.choice([" ", ", ", " and ", "", "\n", " number "]).join(["".join(changed), draw.choice(others)])
    return joined[draw.choice([0, 0, 0, 3]) :]


def iban(draw: random.Random) -> str:
    """Make one with right check digits, of any letters and length, so of a valid form only now and then."""
    country = draw.choice(["DE", "GB", "FR", "NO", "MT", "XX"])
    length = {"DE": 18, "GB": 18, "FR": 23, "NO": 11, "MT": 27, "XX": 20}[country]
    alphabet = string.digits if country in ("DE", "NO") else string.digits * 3 + "ABZ"
    body = "".join(draw.choice(alphabet) for _ in range(length))
    body = "WEST" + body[4:] if country == "GB" else body
    number = int("".join(str(int(character, 36)) for character in body + country + "00"))
    value = f"{country}{98 - number % 97:02}{body}"
    grouped = " ".join(value[place : place + 4] for place in range(0, len(value), 4))
    return draw.choice(
        [value, grouped, grouped.replace(" ", "-"), f"{grouped} 2 days", f"{value} TO JO", value.lower()]
    )


def test_findings_are_those_of_the_whole_of_presidio() -> None:
    draw = random.Random(0)
    table = [
        *(text for text, *_ in IDENTIFIERS),
        *NEAR_MISSES,
        *CONTRACT_TEXTS,
        *(s for s in STRANGE if s.isprintable()),
    ]
    numbers = ["".join(draw.choice(string.digits) for _ in range(draw.randint(6, 19))) for _ in range(200)]
    phones = [
        f"{draw.choice(['+49 ', '0', '(0', '+1 '])}{draw.randint(100, 999)}) {n[:7]}".replace(")", "") for n in numbers
    ]
    pool = [*table, *numbers, *phones, *(iban(draw) for _ in range(300))]
    texts = [*table, *(iban(draw) for _ in range(200)), *phones]
    texts += [mixed(draw.choice(pool), pool, draw) for _ in range(2_000 - len(texts))]
    whole_has_spacy, expected = in_a_process(WHOLE_PRESIDIO, texts)
    has_spacy, found = in_a_process(WITHOUT_SPACY, texts)
    assert [text for text, one, other in zip(texts, found, expected, strict=True) if one != other] == []
    assert sum(bool(one) for one in found) > 1_000
    assert (has_spacy, whole_has_spacy) == (False, True)


def test_recognisers_of_our_own_are_known_by_name() -> None:
    from guard.filters import pii_recognizers

    assert {*pii_recognizers._OWN, "PhoneRecognizer"} == pii_recognizers._OURS

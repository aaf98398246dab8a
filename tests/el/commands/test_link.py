import contextlib
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from el.base.cli import run_command
from el.base.errors import ElError
from el.commands.files import Job, Outcome, Settings, link_into_files
from el.commands.link import main
from el.corpus.formats import open_corpus
from el.corpus.types import Link
from el.linking.evidence import KINDS, NONE_KINDS
from el.linking.explain import explain
from el.linking.linker import Decision, Linker
from tests.tiny import save_tiny_linker

TEXT = "Aspirin helps.\n\nHeadache or 頭痛 headache"
PUBTATOR = (
    "7|t|Aspirin helps.\n7|a|Headache and jaundice\n"
    "7\t0\t7\tAspirin\tChemical\tD000001\n7\t28\t36\tjaundice\tDisease\n7\tCID\tD1\tD2\n\n"
)
# One document that is whole, and one that is not.
BROKEN = "8|t|A headache\n8\t2\t10\tfever\tDisease\n\n9|t|A headache\n9\t2\t10\theadache\tDisease\n"
BIOC = """<?xml version='1.0' encoding='UTF-8'?>
<collection><source/><date/><key/><document><id>7</id><passage><infon key="type">title</infon>
<offset>0</offset><text>Aspirin é headache</text><annotation id="A"><infon key="type">Disease</infon>
<location offset="10" length="8"/><text>headache</text></annotation></passage></document></collection>
"""


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_linker(tmp_path_factory.mktemp("linker") / "linker")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def code_of(*arguments: object) -> int:
    """Runs the command as `python -m el.link` does and returns its exit code."""
    try:
        run_command(lambda: main([str(argument) for argument in arguments]))
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_plain_text_in_a_table_out(linker: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(file, "--linker", linker) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[:7] for line in lines[1:]] == [
        ["in", "0", "7", "Aspirin", "chemical", "D001241", "1.0000"],
        ["in", "16", "24", "Headache", "disease", "D006261", "1.0000"],
        ["in", "31", "39", "headache", "disease", "D006261", "1.0000"],
    ]


def test_pubtator_in_and_out(linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").write_text(PUBTATOR)
    assert code_of(tmp_path / "in", "--linker", linker) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [*PUBTATOR.splitlines()[:2], "7\t0\t7\tAspirin\tChemical\tD001241\t\t1.0000"]
    assert lines[3].startswith("7\t28\t36\tjaundice\tDisease\tD")
    assert lines[4:] == ["7\tCID\tD1\tD2", ""]


def test_bioc_in_and_out(linker: Path, tmp_path: Path) -> None:
    (tmp_path / "in.xml").write_text(BIOC, encoding="utf-8")
    out = tmp_path / "out.xml"
    assert code_of(tmp_path / "in.xml", "--linker", linker, "-o", out, "--top-k", 3) == 0
    corpus = open_corpus(out)
    (document,) = corpus
    assert corpus.format == "bioc"
    assert [(m.id, m.text, m.concept_ids) for m in document.mentions] == [("A", "headache", ("D006261",))]
    assert out.read_text(encoding="utf-8").count('"matched_name"') == 3


@pytest.mark.parametrize(("choice", "expected"), [("never", ["A"]), ("auto", ["A"]), ("always", ["0", "A"])])
def test_find_mentions(linker: Path, tmp_path: Path, choice: str, expected: list[str]) -> None:
    (tmp_path / "in.xml").write_text(BIOC, encoding="utf-8")
    arguments = ("-l", linker, "-o", tmp_path / "out.xml", "--find-mentions", choice)
    assert code_of(tmp_path / "in.xml", *arguments) == 0
    (document,) = open_corpus(tmp_path / "out.xml")
    assert [mention.id for mention in document.mentions] == expected


def test_brat_in_and_out(linker: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "in.ann").write_text("T1\tChemical 0 7\tAspirin\n")
    out = tmp_path / "out"
    out.mkdir()
    assert code_of(file, "--linker", linker, "-o", out) == 0
    assert (out / "in.txt").read_text(encoding="utf-8") == TEXT
    mention, normalisation, note = (out / "in.ann").read_text(encoding="utf-8").splitlines()
    assert mention == "T1\tChemical 0 7\tAspirin"
    assert normalisation.startswith("N1\tReference T1 MESH:D001241\t")
    assert note.startswith("#1\tAnnotatorNotes T1\t{")
    # Neither of the two is written over.
    (out / "in.txt").unlink()
    assert code_of(file, "--linker", linker, "-o", out) == 2
    assert code_of(file, "--linker", linker, "-o", out, "--force") == 0


def test_the_format_can_be_given(linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").write_text(PUBTATOR)
    assert code_of(tmp_path / "in", "-l", linker, "--from", "plain") == 0
    assert capsys.readouterr().out.startswith("document\tstart")
    assert code_of(tmp_path / "in", "-l", linker, "--format", "bioc") == 0
    assert '<infon key="identifier">D001241</infon>' in capsys.readouterr().out


def test_several_inputs_go_into_a_folder(linker: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "b").write_text(PUBTATOR)
    out = tmp_path / "new" / "out"
    assert code_of(file, tmp_path / "b", "-l", linker, "-o", out) == 0
    # A table is no text any more.
    assert sorted(path.name for path in out.iterdir()) == ["b", "in.tsv"]
    assert "Aspirin\tchemical\tD001241" in (out / "in.tsv").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files at two levels, one of them broken."""
    below = tmp_path / "records" / "2024"
    below.mkdir(parents=True)
    (below / "b.pubtator").write_text(PUBTATOR)
    (below.parent / "a.txt").write_text(TEXT, encoding="utf-8")
    (below.parent / "broken.pubtator").write_text(BROKEN)
    return below.parent


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_keeps_its_shape_and_goes_on_where_it_stopped(
    linker: Path, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], jobs: int
) -> None:
    arguments = [folder, "-l", linker, "-o", tmp_path / "out", "--jobs", jobs]
    assert code_of(*arguments) == 1
    assert "broken.pubtator: line 2, document 8, annotation 0" in capfd.readouterr().err
    # What could be used is done, what could not is told, and the exit code says so.
    assert code_of(*arguments, "--keep-going", "--resume") == 1
    errors = capfd.readouterr().err
    assert "skipped" in errors
    assert "1 of the inputs" in errors
    written = {path.relative_to(tmp_path / "out"): path for path in (tmp_path / "out").rglob("*.*")}
    assert {Path("a.tsv"), Path("2024/b.pubtator")} <= set(written)
    # The document that is whole stays.
    assert "D006261" in written[Path("broken.pubtator")].read_text()
    written[Path("a.tsv")].write_text("precious")
    (folder / "broken.pubtator").unlink()
    assert code_of(*arguments) == 2
    assert code_of(*arguments, "--resume") == 0
    assert written[Path("a.tsv")].read_text() == "precious"
    assert code_of(*arguments, "--force") == 0
    assert "D001241" in written[Path("a.tsv")].read_text()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_output_that_lacks_something_is_made_again(
    linker: Path, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], jobs: int
) -> None:
    out = tmp_path / "out"
    arguments = [folder, "-l", linker, "-o", out, "--keep-going", "--jobs", jobs]
    assert code_of(*arguments) == 1
    (out / "a.tsv").write_text("precious")
    for _ in range(2):
        assert code_of(*arguments, "--resume") == 1
        assert "skipped: " in capfd.readouterr().err
    assert code_of(*arguments) == 2
    (folder / "broken.pubtator").write_text(BROKEN.replace("fever", "headache"))
    assert code_of(*arguments, "--resume") == 0
    assert len(list(open_corpus(out / "broken.pubtator"))) == 2
    assert (out / "a.tsv").read_text() == "precious"
    assert sorted(path.name for path in out.iterdir()) == ["2024", "a.tsv", "broken.pubtator"]
    assert code_of(*arguments, "--resume") == 0
    assert "nothing to do" in capfd.readouterr().err


def test_one_output_that_lacks_something_is_made_again(linker: Path, file: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out.tsv", tmp_path / "other.pubtator"
    arguments = [file, other, "-l", linker, "-f", "tsv", "-o", out, "--keep-going", "--resume"]
    assert code_of(*arguments) == 1
    # Without its bad mention, document 8 has none, so mentions are found in it.
    for text, documents, code in ((BROKEN, {"8", "9"}, 1), (PUBTATOR, {"7"}, 0)):
        other.write_text(text)
        assert code_of(*arguments) == code
        assert {line.split("\t")[0] for line in out.read_text().splitlines()[1:]} == {"in"} | documents
    out.write_text("precious")
    assert code_of(*arguments) == 0
    assert out.read_text() == "precious"


@pytest.mark.parametrize("in_folder", [True, False])
def test_an_output_that_could_not_be_made_anew_is_not_done(
    linker: Path, tmp_path: Path, in_folder: bool
) -> None:
    file = tmp_path / "in.pubtator"
    arguments = [file, "-l", linker, "-o", f"{tmp_path}/out/" if in_folder else tmp_path / "out.pubtator"]
    file.write_text(PUBTATOR)
    assert code_of(*arguments) == 0
    file.write_bytes(PUBTATOR.encode("utf-16"))
    assert code_of(*arguments, "--force", "--keep-going") == 1
    # What was made of the file before is there still.
    assert code_of(*arguments, "--resume", "--keep-going") == 1
    file.write_text(PUBTATOR)
    assert code_of(*arguments, "--resume") == 0
    assert not list(tmp_path.rglob("*.incomplete"))


def test_many_files_make_one_table(
    linker: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.pubtator").unlink()
    assert code_of(f"{folder}/**/*.*", "-l", linker, "-f", "tsv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("document\tstart")
    assert [line.split("\t")[0] for line in lines[1:]] == ["7", "7", "a", "a", "a"]
    assert code_of(folder, "-l", linker, "-f", "links", "-o", tmp_path / "all.jsonl") == 0
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 5


def test_a_page_to_look_at(
    linker: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert code_of(file, "-l", linker, "--html", page) == 0
    assert capsys.readouterr().out == ""
    assert "D001241" in page.read_text()
    assert code_of(file, "-l", linker, "--html", page) == 2
    # Who names an output or a format wants one.
    for wanted in (["-o", "-"], ["-f", "tsv"]):
        assert code_of(file, "-l", linker, "--html", page, "--force", *wanted) == 0
        assert "D001241" in capsys.readouterr().out


def test_a_page_says_what_linked(
    linker: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This linker has no thresholds to choose from.
    opened = Linker.load(linker)
    monkeypatch.setattr(Settings, "load", lambda _: opened)
    page = tmp_path / "page.html"
    for given, said in (((), "</p>"), (("--min-precision", 0.5), " · --min-precision 0.5</p>")):
        assert code_of(file, "-l", linker, "--html", page, "--force", *given) == 0
        assert f"Linker: linker · ontology: 14 concepts{said}" in page.read_text()


def test_a_mention_is_explained(linker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("-l", linker, "--explain", "aspirin", "--type", "Drug") == 0
    out = capsys.readouterr().out
    assert out.startswith("aspirin: D001241, decided by dictionary")
    assert {"spelling", "model"} <= set(out.split())
    assert code_of("-l", linker, "--explain", "aspirin", "-o", "x") == 2


def test_only_some_types_are_linked(linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").write_text(PUBTATOR.replace("\tDisease", "\tGene"))
    for arguments, expected in (((), [True, False]), (("--type", "gene"), [False, True])):
        assert code_of(tmp_path / "in", "-l", linker, *arguments) == 0
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines() if "\t" in line][:2]
        # The other comes back as it was.
        assert [len(line) == 8 for line in lines] == expected
        assert lines[1][4] == "Gene"


def test_standard_input_is_read_like_a_file(
    linker: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PUBTATOR.encode())))
    assert code_of("-", "-l", linker) == 0
    assert "7\t0\t7\tAspirin\tChemical\tD001241" in capsys.readouterr().out


def test_errors_of_standard_input_name_it(
    linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = "standard input: line 2, document 8, annotation 0: expected 'fever'"
    folder = tmp_path / "out"
    folder.mkdir()
    for arguments, told in (
        (["-o", folder], f"error: {problem}"),
        ([], f"error: {problem}"),
        (["--keep-going"], f"skipped: {problem}"),
        (["-o", folder, "--keep-going"], f"skipped: {problem}"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BROKEN.encode())))
        assert code_of("-", "-l", linker, *arguments) == 1
        assert capsys.readouterr().err.startswith(told)


def test_nothing_is_overwritten_without_force(
    linker: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.write_text("precious")
    assert code_of(file, "-l", linker, "-o", out) == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert code_of(file, "-l", linker, "-o", out, "--force") == 0
    assert "D001241" in out.read_text()
    assert code_of(file, "-l", linker, "-o", file, "--force") == 2
    assert file.read_text(encoding="utf-8") == TEXT
    # A folder that is there is written into, but not over.
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "in.tsv").write_text("precious")
    assert code_of(file, "-l", linker, "-o", tmp_path / "folder") == 2


def test_arguments_that_do_not_go_together(linker: Path, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "sub" / file.name
    other.parent.mkdir()
    other.write_text(TEXT, encoding="utf-8")
    for arguments in (
        [file, other],
        [file, other, "-o", tmp_path / "out"],
        ["-", "-", "-o", tmp_path / "out"],
        [file, "--top-k", "0"],
        [file, "--top-k", "many"],
        [file, "--find-mentions", "maybe"],
        [file, "--force", "--resume"],
        [file, "--html", "x.html", "--jobs", "2"],
        [file, "--html", "x.html", "--resume"],
    ):
        assert code_of(*arguments, "-l", linker) == 2, arguments
    assert not (tmp_path / "out").exists()


def test_inputs_that_cannot_be_used(linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beyond = tmp_path / "beyond"
    beyond.write_text("7|t|Short\n7\t3\t99\tx\tDisease\n")
    # One character off.
    off = tmp_path / "off.xml"
    off.write_text(BIOC.replace('offset="10"', 'offset="9"'), encoding="utf-8")
    for path, message in (
        (tmp_path / "absent", "no such file"),
        (beyond, "line 2, document 7, annotation 0: expected 'x' at 3:99"),
        (off, "document 7, annotation A: expected 'headache' at 9:17, found ' headach'. Count offsets"),
    ):
        assert code_of(path, "-l", linker, "-o", tmp_path / "out") == 1
        assert f"error: {path}: {message}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    secret = tmp_path / "secret"
    secret.mkdir()
    assert code_of(secret, "-l", linker) == 1
    assert "holds no files" in capsys.readouterr().err


def test_without_a_linker_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert code_of() == 1
    assert "no linker here yet" in (message := capsys.readouterr().err)
    assert "`el index`" in message


def test_without_arguments_the_sample_is_linked(
    linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "linker").symlink_to(linker)
    monkeypatch.chdir(tmp_path)
    assert code_of() == 0
    rows = {tuple(line.split("\t")[3:6:2]) for line in capsys.readouterr().out.splitlines()}
    assert {("acetaminophen", "D000082"), ("AKI", "D058186"), ("ALF", "D017114")} <= rows


# Ctrl-C while a file is handed over, and again while those under way are waited for.
INTERRUPTED_TWICE = """
import signal
from concurrent.futures import Executor
from pathlib import Path
from el.commands import files

class Pool(Executor):
    def submit(self, *_):
        signal.raise_signal(signal.SIGINT)
    def shutdown(self, **_):
        signal.raise_signal(signal.SIGINT)
        print("files under way are done")

files.ProcessPoolExecutor = lambda *_: Pool()
# A process that a shell starts in the background ignores the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    files.link_into_files([files.Job(Path("a"), Path("b"))] * 2, files.Settings(Path("linker")), 2)
except KeyboardInterrupt:
    print("interrupted")
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_a_second_interruption_does_not_disturb_the_first() -> None:
    command = [sys.executable, "-c", INTERRUPTED_TWICE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["files under way are done", "interrupted", "True"], done.stderr


def test_interrupted(linker: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("el.linking.linker.Linker.link", interrupt)
    assert code_of(file, "-l", linker, "-o", tmp_path / "out") == 130
    assert not (tmp_path / "out").exists()


def test_standard_output_closed_early_is_no_error(
    linker: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stdout = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert code_of(file, "-l", linker) == 0
    assert capsys.readouterr().err == ""
    # Python closes it on exit, which must not fail either.
    stdout.close()


def test_a_page_is_whole_though_standard_output_is_closed_early(
    linker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # More than a pipe's buffer holds.
    path = tmp_path / "in.jsonl"
    path.write_text("".join(f'{{"id": "{i}", "text": "Aspirin"}}\n' for i in range(300)), encoding="utf-8")
    reading, writing = os.pipe()
    os.close(reading)
    with monkeypatch.context() as patch, os.fdopen(writing, "w") as stdout:
        patch.setattr(sys, "stdout", stdout)
        assert code_of(path, "-l", linker, "-o", "-", "--html", tmp_path / "page.html") == 0
    assert capsys.readouterr().err == ""
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<article ") == 300


def test_help_is_quick_and_teaches() -> None:
    check = (
        "import sys; from el.commands.link import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    for expected in ("examples:", "exit codes:", "--find-mentions", "130"):
        assert expected in done.stdout


def test_one_output_goes_on_behind_a_broken_file(
    linker: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.xml").write_text(BIOC.replace("</passage></document></collection>", ""), encoding="utf-8")
    assert code_of(tmp_path / "a.xml", file, "-l", linker, "-f", "tsv", "--keep-going") == 1
    out, err = capsys.readouterr()
    assert "Aspirin\tchemical\tD001241" in out
    assert "skipped" in err


def test_a_folder_of_one_file_goes_into_a_folder(linker: Path, file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    file.rename(folder / "a.txt")
    assert code_of(folder, "-l", linker, "-o", tmp_path / "out") == 0
    assert "D001241" in (tmp_path / "out" / "a.tsv").read_text()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_linker_that_cannot_be_opened_is_told(
    linker: Path, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], jobs: int
) -> None:
    (tmp_path / "other.txt").write_text(TEXT, encoding="utf-8")
    arguments = ["-l", linker, "-o", tmp_path / "out", "--jobs", jobs, "--min-precision", "0.9"]
    assert code_of(file, tmp_path / "other.txt", *arguments) == 1
    assert capfd.readouterr().err.startswith("error: no threshold reaches a precision of 0.9")


def test_a_process_that_dies_is_told(
    linker: Path, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    class Dying:
        def __reduce__(self) -> tuple[object, ...]:
            return os._exit, (1,)

    jobs = [Job(file, tmp_path / name) for name in ("a", "b")]
    with pytest.raises(ElError, match="Give fewer --jobs"):
        link_into_files(jobs, replace(Settings(linker), types=Dying()), 2)  # type: ignore[arg-type]


def test_processes_are_handed_a_few_files_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Result(Future[Outcome]):
        def result(self, timeout: float | None = None) -> Outcome:
            taken.append(self)
            return super().result(timeout)

    class Pool(Executor):
        """Is done at once with what it is handed."""

        def submit(self, _: object, /, job: Job, *__: object) -> Result:  # type: ignore[override]
            handed.append(job)
            waiting.append(len(handed) - len(taken))
            done = Result()
            done.set_result(Outcome(["a problem"] if job.source.name == "7" else []))
            return done

    handed: list[Job] = []
    taken: list[Result] = []
    waiting: list[int] = []
    monkeypatch.setattr("el.commands.files.ProcessPoolExecutor", lambda *_: Pool())
    jobs = [Job(Path(str(number)), tmp_path / str(number)) for number in range(100)]
    before = signal.getsignal(signal.SIGINT)
    assert link_into_files(jobs, Settings(tmp_path), 2).skipped == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert handed == jobs
    # Both have work, and the results of nearly all are not waited for together.
    assert 2 <= max(waiting) < 20


def test_what_a_format_cannot_hold_is_passed_over_alone(
    linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"id": "1", "text": "A \\u0001 headache"}\n{"id": "2", "text": "A headache"}\n')
    for output in (tmp_path / "out.xml", tmp_path / "folder"):
        if output.name == "folder":
            output.mkdir()
        arguments = [path, "-l", linker, "-f", "bioc", "-o", output]
        assert code_of(*arguments) == 1
        assert not list(tmp_path.glob("out.*"))
        assert code_of(*arguments, "--keep-going") == 1
        assert "skipped: BioC XML cannot hold document '1'" in capsys.readouterr().err
        written = output / "in.xml" if output.is_dir() else output
        assert [document.id for document in open_corpus(written)] == ["2"]
        written.unlink()


def test_offsets_beyond_a_text_that_is_not_given_are_passed_over(
    linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"id": "1", "text": "An ache", "mentions": [{"start": 3, "stop": 99}]}\n'
        '{"id": "2", "text": "Aspirin"}\n'
    )
    assert code_of(path, "-l", linker, "-f", "tsv", "--keep-going") == 1
    out, err = capsys.readouterr()
    assert "(the text ends at 7)" in err
    assert "D001241" in out


def test_missing_inputs_and_folders_without_permission_are_passed_over(
    linker: Path,
    folder: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "broken.pubtator").unlink()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("2024"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    # Not by its mode: who runs the tests may read all folders.
    monkeypatch.setattr(os, "scandir", refuse)
    arguments = [folder, "-l", linker, "-f", "tsv"]
    assert code_of(*arguments) == 74
    assert f"{folder / '2024'}: cannot be read (Permission denied)" in capsys.readouterr().err
    assert code_of(folder / "absent", *arguments, "--keep-going") == 1
    out, err = capsys.readouterr()
    assert "D001241" in out
    assert err.count("skipped: ") == 2
    assert "2 of the inputs" in err


def test_outputs_that_would_surprise_are_refused(
    linker: Path, folder: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.pubtator").unlink()
    assert code_of(folder, "-l", linker, "-o", folder / "out") == 2
    assert "would be read the next time" in capsys.readouterr().err
    table = tmp_path / "all.tsv"
    assert code_of(folder, file, "-l", linker, "-o", table) == 2
    assert "--format tsv" in capsys.readouterr().err
    assert not table.exists()
    assert code_of(folder, file, "-l", linker, "-o", f"{table}/") == 0
    assert table.is_dir()


def test_nothing_to_resume_is_said(
    linker: Path,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "broken.pubtator").unlink()
    arguments = [folder, "-l", linker, "-o", tmp_path / "out", "--resume"]
    assert code_of(*arguments) == 0
    assert "nothing to do" not in capsys.readouterr().err
    monkeypatch.setattr(Settings, "load", lambda _: pytest.fail("the linker was opened"))
    assert code_of(*arguments) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_closed_standard_streams_are_told(
    linker: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert code_of("-", "-l", linker) == 74
    assert "error: standard input: " in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdout", None)
    assert code_of(file, "-l", linker) == 74
    assert "error: standard output: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["in.txt"], ["in.txt", "--html", "page.html"], ["in.txt", "-o", "out"]]
)
def test_a_full_disk_leaves_nothing(
    linker: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(file.parent)
    monkeypatch.setattr("el.corpus.tables.TableWriter.write", fail)
    monkeypatch.setattr("el.report.linked.LinkedPage.write", fail)
    assert code_of(*arguments, "-l", linker) == 74
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in file.parent.iterdir()] == ["in.txt"]


def test_brackets_of_names_are_shown_and_an_empty_mention_is_not_explained(
    linker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = Linker.load(linker)
    link = Link("D1", "Benzo[a]pyrene", 1.0, "3,4-benz[a]pyrene")
    opened.decide = lambda *_: [Decision((link,), "model", link.score)]  # type: ignore[method-assign, assignment]
    weighted = {"D1": dict.fromkeys(KINDS, 0.0), "-1": {**dict.fromkeys(NONE_KINDS, 0.0), "acronym": 1.5}}
    opened.weighted_evidence = lambda _: weighted  # type: ignore[method-assign]
    explain(opened, "[b]anthracene", "", Console())
    out = capsys.readouterr().out
    assert all(text in out for text in ("[b]anthracene", "Benzo[a]pyrene", "3,4-benz[a]pyrene"))
    assert out.endswith("\nno candidate is right: acronym +1.50\n")
    assert code_of("-l", linker, "--explain", " ") == 2


def test_an_explanation_that_is_not_read_to_its_end_is_no_error(
    linker: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stdout = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert code_of("-l", linker, "--explain", "aspirin") == 0
    assert capsys.readouterr().err == ""
    stdout.close()


def test_inputs_may_stand_before_and_behind_options(
    linker: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.txt").write_text("A headache", encoding="utf-8")
    assert code_of(file, "-l", linker, "-f", "tsv", tmp_path / "b.txt") == 0
    assert {line.split("\t")[0] for line in capsys.readouterr().out.splitlines()[1:]} == {"in", "b"}


# A gene whose text is normalised, a variant beyond the text, and a disease.
UNFIT = (
    "5|t|BRCA-1 and headache\n5|a|End\n5\t0\t6\tBRCA1\tGene\t672\n5\t90\t95\tV600E\tDNAMutation\tp.V600E\n"
    "5\t11\t19\theadache\tDisease\n\n"
)


def test_what_is_not_linked_costs_no_document(
    linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.pubtator"
    path.write_text(UNFIT + PUBTATOR)
    assert code_of(path, "-l", linker, "-f", "tsv") == 0
    out, err = capsys.readouterr()
    assert [line.split("\t")[0] for line in out.splitlines()[1:]] == ["5", "7", "7"]
    assert f"{path}: 2 annotations of types gene, dnamutation, which are not linked, cannot be used" in err
    assert err.count("annotation") == 2
    assert err.count("annotation 0: expected 'BRCA1' at 0:6") == 1
    # Where the type is linked, it is an error.
    assert code_of(path, "-l", linker, "-f", "tsv", "--type", "gene") == 1
    err = capsys.readouterr().err
    assert "document 5, annotation 0: expected 'BRCA1'" in err


def test_a_bad_mention_costs_itself_alone(
    linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.pubtator"
    bad = "".join(f"5\t{n}\t{n + 4}\tfever\tDisease\n" for n in range(13))
    path.write_text(f"5|t|A headache after aspirin\n{bad}5\t2\t10\theadache\tDisease\n\n{PUBTATOR}")
    assert code_of(path, "-l", linker, "-f", "tsv") == 1
    # Nothing but the head of the table.
    assert len(capsys.readouterr().out.splitlines()) == 1
    out_path = tmp_path / "out.tsv"
    arguments = [path, "-l", linker, "-f", "tsv", "-o", out_path, "--keep-going"]
    assert code_of(*arguments) == 1
    err = capsys.readouterr().err
    assert err.count("skipped: ") == 11
    assert f"{path}: 3 more annotations" in err
    assert "1 of the inputs" in err
    lines = [line.split("\t") for line in out_path.read_text().splitlines()[1:]]
    assert [(line[0], line[3]) for line in lines] == [("5", "headache"), ("7", "Aspirin"), ("7", "jaundice")]
    # The output is not complete, so it is made again.
    assert code_of(*arguments, "--resume") == 1


def test_unknown_types_are_counted_and_said_once(
    linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        text = PUBTATOR.replace("\tDisease", "\tPhenotype X") + PUBTATOR.replace("\tDisease", "\tGene")
        text = text.replace("7|", f"{name}|").replace("\n7\t", f"\n{name}\t")
        (tmp_path / f"{name}.pubtator").write_text(text)
    arguments = [f"{tmp_path}/*.pubtator", "-l", linker, "-f", "tsv"]
    assert code_of(*arguments) == 0
    option = "--type 'phenotype x'"
    message = f"2 mentions of type phenotype x are not linked; link mentions of this type with {option}\n"
    assert capsys.readouterr().err.count(message) == 1
    assert code_of(*arguments, "--type", "phenotype x") == 0
    assert "not linked" not in capsys.readouterr().err
    assert code_of(*arguments, "-o", f"{tmp_path}/out/", "--jobs", 2) == 0
    err = capsys.readouterr().err
    assert err.count(message) == err.count("not linked") == 1


def test_terminal_escapes_of_inputs_are_shown_as_text(
    linker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").write_text(PUBTATOR.replace("\tDisease", "\tx\x1b[31m\u202e"))
    assert code_of(tmp_path / "in", "-l", linker) == 0
    err = capsys.readouterr().err
    assert r"x\x1b[31m\u202e" in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (PUBTATOR.replace("Disease", "Gene"), ["--type", "species"], "but of chemical (1), gene (1)"),
        (PUBTATOR.replace("Disease", "Gene").replace("Chemical", "SNP"), [], "but of snp (1), gene (1)"),
        (PUBTATOR, ["--type", "x"], "but of chemical (1), disease (1)"),
        ("Nothing is named here.", [], "no mentions were found"),
        ("Ein Text ohne Namen.", ["-f", "jsonl"], "no mentions were found"),
        ("Aspirin helps.", ["--find-mentions", "never"], "the documents have no mentions"),
    ],
)
def test_a_run_that_links_nothing_says_so(
    linker: Path,
    tmp_path: Path,
    text: str,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in").write_text(text)
    out = tmp_path / "out"
    assert code_of(tmp_path / "in", "-l", linker, "-o", out, *arguments) == 3
    err = capsys.readouterr().err
    assert err.startswith("error: nothing was linked: ")
    assert message in err
    # The output is complete all the same.
    assert out.exists()
    assert code_of(tmp_path / "in", "-l", linker, "-o", out, *arguments, "--resume") == 0


def test_one_linked_mention_is_enough(linker: Path, tmp_path: Path) -> None:
    for name, text in (("a", "Nothing."), ("b", "Nothing either."), ("c", "A headache.")):
        (tmp_path / f"{name}.txt").write_text(text)
    assert code_of(f"{tmp_path}/*.txt", "-l", linker, "-f", "tsv", "-o", tmp_path / "out.tsv") == 0


def test_leftovers_of_killed_runs_are_cleared(linker: Path, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    left = [out / ".in.tsv.abcdefgh.part", tmp_path / ".one.tsv.abcdefgh.part"]
    for path in (*left, out / ".other.tsv.abcdefgh.part"):
        path.touch()
    assert code_of(file, "-l", linker, "-o", out) == 0
    assert code_of(file, "-l", linker, "-o", tmp_path / "one.tsv") == 0
    # What the commands did not write stays.
    assert sorted(path.name for path in out.iterdir()) == [".other.tsv.abcdefgh.part", "in.tsv"]
    assert not left[1].exists()


# SIGTERM while a table is written.
TERMINATED = """
import signal, sys
from el.base.cli import run_command
from el.commands.link import main
from el.corpus.tables import TableWriter

TableWriter.write = lambda *_: signal.raise_signal(signal.SIGTERM)
try:
    run_command(lambda: main(sys.argv[1:]))
except SystemExit as stop:
    print(stop.code, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""


def test_sigterm_ends_the_command_like_an_interruption(linker: Path, file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TERMINATED, file, "-l", linker, "-o", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "143 True\n", done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


# Starts two workers, says so, and is killed.
KILLED = """
import sys, time
from pathlib import Path
from el.commands import files

class Slow:
    def __reduce__(self):
        return time.sleep, (10_000,)

if __name__ == "__main__":
    jobs = [files.Job(Path("a"), Path("b"))] * 2
    files.link_into_files(jobs, files.Settings(Path("linker"), types=Slow()), 2)
"""


def test_workers_end_with_their_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    with subprocess.Popen([sys.executable, tmp_path / "killed.py"], cwd=tmp_path) as process:
        workers: list[psutil.Process] = []
        begun = time.monotonic()
        try:
            while len(workers) < 2 and time.monotonic() - begun < 300:
                time.sleep(0.2)
                # Libraries start short commands too, which may end while they are looked at.
                with contextlib.suppress(psutil.NoSuchProcess):
                    children = psutil.Process(process.pid).children()
                    workers = [child for child in children if "spawn_main" in "".join(child.cmdline())]
        finally:
            process.kill()
    assert len(workers) == 2
    assert not psutil.wait_procs(workers, 60)[1]


def test_files_that_another_user_may_not_read_are_passed_over(
    linker: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = Linker.load(linker)
    monkeypatch.setattr(Settings, "load", lambda _: opened)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        shutil.copytree(linker, folder / "linker")
        (folder / "in").mkdir()
        for name, mode in (("a.txt", 0o644), ("b.txt", 0), ("c.pubtator", 0)):
            (folder / "in" / name).write_text("A headache")
            (folder / "in" / name).chmod(mode)
        (folder / "out").mkdir()
        (folder / "out").chmod(0o777)
        locked = folder / "locked"
        locked.mkdir(0o500)
        user = os.geteuid()
        # Who is root may read and write everything.
        os.seteuid(user or 65534)
        try:
            arguments = [folder / "in", "-l", folder / "linker"]
            assert code_of(*arguments, "-o", folder / "out") == 74
            assert "b.txt: cannot be read (Permission denied)" in capsys.readouterr().err
            assert code_of(*arguments, "-o", folder / "out", "--keep-going") == 1
            assert capsys.readouterr().err.count("skipped: ") == 2
            assert (folder / "out" / "a.tsv").exists()
            assert code_of(folder / "in" / "a.txt", *arguments[1:], "-o", locked / "out.tsv") == 74
            assert f"error: {locked}" in capsys.readouterr().err
        finally:
            os.seteuid(user)

"""A study file that can't be carried out is refused in one sentence, before anything runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from genbench.contracts import DataAccess
from genbench.errors import UsageError
from genbench.planning.sources import literal
from genbench.planning.toml_plan import value_of
from genbench.registry import Registry
from genbench.study import make_plan, read_study
from genbench.study.assignments import assignments, for_sampler
from genbench.study.file import FigureEntry

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.toml"))
HEAD = 'title = "T"\ndatasets = ["digits"]\nmetrics = ["fd_pixel"]\n'
ROW = '[[runs]]\nmodel = "vae"\nname = "VAE"\n'
ON = '[[runs]]\nmodel = "gan"\nname = "graft"\n'
FIGURE = '[[figures]]\ntitle = "F"\n'


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.from_environment()


def plan(text: str, folder: Path, registry: Registry, **narrowed):
    path = folder / "one.toml"
    path.write_text(text)
    access = DataAccess(root=folder, cache=folder, offline=True)
    return make_plan(path, read_study(path), registry, access, {}, folder, **narrowed)


def test_a_share_shortens_every_stage_of_every_row(tmp_path: Path, registry) -> None:
    text = HEAD + '[[runs]]\nmodel = "vaegan"\nset = { vae_epochs = 50 }\n' + ROW + "seconds = 9\n"
    made = plan(text, tmp_path, registry, share=0.1, epoch_images=600)
    graft, vae = made.entries
    whole = plan(text, tmp_path, registry, epoch_images=600).entries[0]
    assert graft.spec.epochs == round(0.1 * whole.spec.epochs) > 1
    assert graft.spec.model_settings["vae_epochs"] == 5
    assert "vae_epochs=5" in graft.sets
    assert vae.seconds == pytest.approx(0.9)
    assert made.narrowed == ("--share 0.1", "--epoch-images 600")
    with pytest.raises(UsageError, match="leave out one"):
        plan(text, tmp_path, registry, share=0.1, epochs=3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = 1 +", ["not valid TOML"]),
        ('title = "T"\n' + ROW, ["datasets", "missing"]),
        (HEAD, ["runs", "missing"]),
        (HEAD + "sede = [0]\n" + ROW, ["unknown key 'sede'", "did you mean 'seeds'"]),
        (HEAD + ROW + "epoch = 3", ["[[runs]] 1 ('VAE')", "did you mean 'epochs'"]),
        (HEAD + ROW + "epochs = 0", ["[[runs]] 1 ('VAE')", "epochs = 0: it must be at least 1"]),
        (HEAD + 'seeds = ["a"]\n' + ROW, ['seeds, entry 1 = "a": it must be a whole number']),
        (HEAD + "seeds = []\n" + ROW, ["seeds = []: it must have at least 1 value"]),
        (HEAD + "[runs]\nmodel = 'vae'", ["write [[runs]], with double brackets"]),
        (HEAD + 'runs = ["vae"]', ['[[runs]] 1: "vae": it must be a table']),
        (HEAD + ROW + "set = 'z_dim=2'", ["[[runs]] 1 ('VAE'): set = \"z_dim=2\": it must be a"]),
        (
            HEAD + ROW + "[table.published]\nVAE = 1",
            ["[table]: published.VAE = 1: it must be a text"],
        ),
        (HEAD + ROW + FIGURE + 'command = "sample"\noptions = { n = [[1]] }', ["a list of values"]),
        (HEAD + ROW + "epochs = 1\nseconds = 2.0", ["('VAE')", "remove one"]),
        (HEAD + "seeds = [0, 0]\n" + ROW, ["seeds has 0 twice"]),
        (HEAD + ROW + ROW, ["two [[runs]] are called 'VAE'", "name ="]),
        (HEAD + 'samplers = ["plain", "plain"]\n' + ROW, ["two samplers", "label"]),
        (HEAD + ROW + "[table]\ncolumn = []", ["[table]", "did you mean 'columns'"]),
        (HEAD + ROW + '[table.published]\nVEA = "1"', ["'VEA'", "did you mean 'VAE'"]),
        (HEAD + ROW + '[table]\ncolumns = ["fd_clf"]', ["fd_clf", "add it to metrics"]),
        (HEAD + ROW + '[table]\ncolumns = ["fd_pixle"]', ["did you mean 'fd_pixel'"]),
        (HEAD.replace("digits", "digit") + ROW, ["datasets", "did you mean 'digits'"]),
        (HEAD.replace("fd_pixel", "fdpixel") + ROW, ["did you mean 'fd_pixel'"]),
        (HEAD + '[[runs]]\nmodel = "vea"', ["[[runs]] 'vea' on digits", "did you mean 'vae'"]),
        (HEAD + ROW + "set = { z_dmi = 2 }", ["[[runs]] 'VAE' on digits", "did you mean 'z_dim'"]),
        (HEAD + ROW + "set = { z_dim = 0 }", ["[[runs]] 'VAE' on digits", "z_dim"]),
        (HEAD + 'samplers = ["drs"]\n' + ROW, ["'drs'", "discriminates"]),
        (HEAD + 'samplers = ["plain", "dsr"]\n' + ROW, ["sampler", "'dsr'", "drs"]),
        (HEAD + ROW + ON + 'on = "VEA"', ["on = 'VEA': no row above", "did you mean 'VAE'"]),
        (HEAD + ROW + "seconds = 2.0\n" + ON + 'on = "VAE"', ["give both rows epochs"]),
        (HEAD + ROW.replace("vae", "gan") + ON + 'on = "VAE"', ["'gan' has no latent space"]),
        (HEAD + ROW + FIGURE + 'command = "smaple"', ["[[figures]] 1", "'sample'"]),
        (HEAD + ROW + FIGURE + 'command = "sample"\nrows = ["VEA"]', ["'F'", "mean 'VAE'"]),
        (HEAD + ROW + FIGURE + 'command = "sample"\ntogether = true', ["'F'", "one run per pic"]),
        (HEAD + ROW + FIGURE + 'command = "sample"\noption = {}', ["did you mean 'options'"]),
        (HEAD + ROW + ROW.replace("VAE", "B"), ["'VAE' and 'B' train the same thing on digits"]),
    ],
)
def test_nonsense_is_one_sentence_that_names_file_place_and_fix(text, words, tmp_path, registry):
    with pytest.raises(UsageError) as refused:
        plan(text, tmp_path, registry)
    assert "one.toml" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "nput should" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_a_row_lays_its_settings_over_those_of_all_runs(tmp_path, registry):
    shared = '[set]\nz_dim = 3\ndata.size = 8\n[[runs]]\nmodel = "vae"\nset = { z_dim = 4 }\n'
    [entry] = plan(HEAD + "epochs = 7\nbatch_size = 50\n" + shared, tmp_path, registry).entries
    assert entry.spec.model_settings["z_dim"] == 4
    assert entry.spec.dataset_settings["size"] == 8
    assert (entry.spec.epochs, entry.spec.batch_size) == (7, 50)


def test_a_rows_own_length_takes_the_place_of_the_studys(tmp_path, registry):
    rows = ROW + "epochs = 3\n" + ROW.replace('"VAE"', '"B"')
    first, second = plan(HEAD + "seconds = 9.0\n" + rows, tmp_path, registry).entries
    assert (first.seconds, first.spec.epochs) == (None, 3)
    assert second.seconds == 9.0


def test_a_list_among_a_figures_options_repeats_its_flag():
    options = {"label": [3, 8], "samples": 16, "as-scored": True, "offline": False}
    figure = FigureEntry(title="F", command="sample", options=options)
    words = ("--label", "3", "--label", "8", "--samples", "16", "--as-scored")
    assert figure.flags == words


def test_epochs_asked_for_take_the_place_of_every_length(tmp_path, registry):
    rows = ROW + "seconds = 2.0\n" + '[[runs]]\nmodel = "gan"\nepochs = 7\n'
    made = plan("epochs = 3\n" + HEAD + rows, tmp_path, registry, epochs=2)
    assert [(entry.seconds, entry.spec.epochs) for entry in made.entries] == [(None, 2)] * 2
    assert made.narrowed == ("--epochs 2",)


def test_a_row_on_another_rows_latents_is_planned_before_that_row_is_trained(tmp_path, registry):
    own = 'on = "VAE"\nset = { z_dim = 5, data.draw = "mean" }'
    text = HEAD + "[set]\ndata.size = 8\n" + ROW + "set = { z_dim = 3 }\n" + ON + own
    vae, graft = plan(text, tmp_path, registry).entries
    assert (graft.dataset, graft.spec.dataset, graft.data.shape) == ("digits", "latents", (3,))
    assert graft.source is vae
    assert graft.data_settings == vae.spec.dataset_settings
    assert (vae.spec.dataset_settings["size"], graft.spec.dataset_settings["draw"]) == (8, "mean")
    only = plan(text, tmp_path, registry, only=["graft"])
    assert [entry.row.title for entry in only.entries] == ["VAE", "graft"]


def test_a_row_of_a_model_that_draws_no_samples_has_no_sampler(tmp_path, registry):
    text = HEAD.replace('metrics = ["fd_pixel"]\n', "") + '[[runs]]\nmodel = "stargan"'
    (entry,) = plan(text, tmp_path, registry).entries
    assert entry.spec.samplers == ()
    assert [metric.name for metric in entry.spec.metrics] == ["translation"]


def test_a_sampler_that_one_row_cannot_serve_is_a_remark_and_no_refusal(tmp_path, registry):
    text = HEAD + 'samplers = ["plain", "drs"]\n' + ROW + '[[runs]]\nmodel = "gan"\n'
    vae, gan = plan(text, tmp_path, registry).entries
    assert vae.samplings[1].refused
    assert "discriminates" in vae.samplings[1].refused
    assert gan.samplings[1].refused is None


def test_rows_and_seeds_can_be_narrowed_to_what_there_is(tmp_path, registry):
    text = HEAD + ROW + '[[runs]]\nmodel = "gan"\n'
    narrowed = plan(text, tmp_path, registry, only=["gan"], seeds=[5])
    assert [entry.row.title for entry in narrowed.entries] == ["gan"]
    assert narrowed.seeds == (5,)
    with pytest.raises(UsageError, match="did you mean 'gan'"):
        plan(text, tmp_path, registry, only=["gna"])


@pytest.mark.parametrize("value", ["none", "a b", "true", 3, 1e-5, True, [1, 2], ["a", "b"], 'q"q'])
def test_a_setting_reaches_a_run_as_the_file_has_it(value):
    assert literal(value_of(value)) == value


def test_sub_tables_become_dotted_settings():
    tables = {"z_dim": 2, "data": {"size": 8}, "metric": {"kid": {"degree": 2}}}
    assert assignments(tables, {"z_dim": 3}) == ("z_dim=3", "data.size=8", "metric.kid.degree=2")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_of_the_repository_can_be_read(path):
    assert read_study(path).runs


def test_a_dry_run_imports_no_torch_and_makes_nothing(tmp_path):
    script = (
        "import atexit, json, sys\nfrom genbench.cli import main\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\nmain()"
    )
    digits = next(path for path in STUDIES if path.stem == "digits")
    arguments = [sys.executable, "-c", script, "-q", "study", str(digits), "--dry-run", "--json"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "numpy", "alembic"} & set(json.loads(done.stderr))
    runs = json.loads(done.stdout)["runs"]
    assert [run["status"] for run in runs] == [None] * 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [None, "none", "isotonic", 80.0, True])
def test_a_setting_of_a_sampler_reaches_its_command_as_the_value_that_it_is(value):
    for texts in (for_sampler("drs", {"gamma": value}), assignments({"sampler.drs.gamma": value})):
        [text] = texts
        path, _, typed = text.partition("=")
        assert (path, literal(typed)) == ("sampler.drs.gamma", value)

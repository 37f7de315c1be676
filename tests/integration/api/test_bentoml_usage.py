"""Scripts as BentoML documents them, with only the import changed (docs/python-api.md)."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.servers import fake_s3
from tests.servers.s3 import BUCKET
from tests.support import stores
from tests.support.python_scripts import Scripts
from tests.support.sides import Side, Site
from tests.support.stock_shop import make_shop

Run = Callable[..., str]

pytestmark = pytest.mark.bentoml

# What BentoML's documentation calls, and the file that appears below the folder or in the bucket.
EXPORTS = [
    ("export_bento('shop:latest', folder)", "shop-v1.airgap"),
    ("export_bento('shop:latest', folder + '/shop')", "shop.airgap"),
    ("export_bento('shop:latest', folder + '/shop.bento')", "shop.bento"),
    ("export_bento('shop:latest', folder + '/shop.tar.gz')", "shop.tar.gz"),
    ("export_bento('shop:latest', folder + '/shop.ext', 'gz')", "shop.ext"),
    ("export_bento('shop:latest', folder + '/shop', 'folder')", "shop"),
]
IMPORTS = [
    ("export_bento('shop:latest', folder + '/shop.bento')", "shop.bento", ""),
    ("export_bento('shop:latest', folder + '/shop.tar.gz')", "shop.tar.gz", ""),
    ("export_bento('shop:latest', folder + '/shop.ext', 'gz')", "shop.ext", ", 'gz'"),
    ("export_bento('shop:latest', folder + '/shop', 'folder')", "shop", ", 'folder'"),
]
BUCKET_EXPORTS = [
    ("export_bento('shop:latest', 's3://{bucket}/folder/')", "folder/shop-v1.airgap"),
    (
        "export_bento('shop:latest', '{bucket}/folder/', protocol='s3')",
        "folder/shop-v1.airgap",
    ),
    (
        "export_bento('shop:latest', '{bucket}', protocol='s3', subpath='folder/')",
        "folder/shop-v1.airgap",
    ),
    ("export_bento('shop:latest', 's3://{bucket}/folder')", "folder.airgap"),
]


@pytest.fixture
def run(scripts: Scripts) -> Run:
    """Runs a script as a data scientist would; returns what it prints."""

    def run_on(side: Side, program: str, **variables: str) -> str:
        return scripts.print(dedent(program), {**side.environment, **variables})

    return run_on


@pytest.fixture
def office(connected: Side) -> Side:
    """The connected side: ``shop:v1`` with the model ``ranker:v1``."""
    make_shop(connected)
    return connected


@pytest.mark.parametrize(("call", "made"), EXPORTS)
@pytest.mark.parametrize("module", ["bentoml", "bentoml.bentos"])
def test_exports_of_bentomls_documentation(
    run: Run, module: str, call: str, made: str, office: Side, site: Site, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    printed = run(
        office,
        f"import airgap as bentoml\nfolder = {str(folder)!r}\nprint({module}.{call})",
        AIRGAP_KEY=str(site.key()),
    )

    assert printed == f"{folder / made}\n"
    assert (folder / made).exists()


@pytest.mark.parametrize(("export", "made", "form"), IMPORTS)
def test_imports_of_bentomls_documentation(
    run: Run,
    export: str,
    made: str,
    form: str,
    office: Side,
    isolated: Side,
    site: Site,
    tmp_path: Path,
) -> None:
    start = f"import airgap as bentoml\nfolder = {str(tmp_path)!r}\n"
    run(office, start + f"bentoml.{export}", AIRGAP_KEY=str(site.key()))

    printed = run(isolated, start + f"print(bentoml.import_bento(folder + '/{made}'{form}).tag)")

    assert printed == "shop:v1\n"
    assert (isolated.bentoml / "models" / "ranker" / "v1").is_dir()


@pytest.mark.parametrize(("call", "made"), BUCKET_EXPORTS)
def test_a_bucket_is_a_location_like_any_other(
    run: Run, call: str, made: str, office: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    with fake_s3.serve(tmp_path) as server:
        variables = {
            "AWS_ACCESS_KEY_ID": server.keys.identity,
            "AWS_SECRET_ACCESS_KEY": server.keys.secret,
            "AWS_REGION": "us-east-1",
            "AIRGAP_KEY": str(site.key()),
        }
        params = f", params={{'endpoint': 'http://127.0.0.1:{server.port}'}})"
        call = call.format(bucket=BUCKET).removesuffix(")") + params

        where = run(office, f"import airgap as bentoml\nprint(bentoml.{call})", **variables)

        assert where == f"s3://{BUCKET}/{made}\n"
        printed = run(
            isolated,
            f"import airgap as bentoml\nbento = bentoml.import_bento({where.strip()!r}{params}\n"
            "print(bento.tag)",
            **variables,
        )
        assert printed == "shop:v1\n"


@pytest.mark.parametrize("module", ["airgap", "airgap.bentos"])
def test_push_and_pull_of_bentomls_documentation(
    run: Run, module: str, office: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = {"AIRGAP_DEPOT": str(tmp_path / "depot"), "AIRGAP_KEY": str(site.key())}
    start = f"from airgap import bentos, models\nimport {module} as bentoml\n"

    run(office, start + "bentoml.push('shop:v1')\nbentoml.push('shop:v1', force=True)", **depot)
    printed = run(isolated, start + "print(bentoml.pull('shop:v1').tag)", **depot)

    assert printed == "shop:v1\n"
    assert not (isolated.bentoml / "models" / "ranker").exists()
    run(isolated, start + "bentoml.pull('shop:v1', with_models=True)", **depot)
    assert (isolated.bentoml / "models" / "ranker" / "v1").is_dir()
    printed = run(isolated, start + "print(bentoml.get('shop:latest').tag, len(bentoml.list()))")
    assert printed == "shop:v1 1\n"


def test_a_local_bento_is_pulled_without_asking_the_depot(
    run: Run, office: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    variables = {"AIRGAP_DEPOT": str(depot), "AIRGAP_KEY": str(site.key())}
    run(office, "import airgap\nairgap.push('shop:v1')", **variables)
    run(isolated, "import airgap\nairgap.pull('shop:v1')", **variables)
    depot.rename(tmp_path / "gone")

    assert (
        run(isolated, "import airgap\nprint(airgap.pull('shop:v1').tag)", **variables)
        == "shop:v1\n"
    )
    program = """
        import airgap
        from airgap.errors import MissingError
        for options in ({"force": True}, {"with_models": True}):
            try:
                airgap.pull("shop:v1", **options)
            except MissingError:
                print("asked")
        """
    assert run(isolated, program, **variables) == "asked\nasked\n"


def test_the_cloud_client_of_bentoml_works_with_a_depot(
    run: Run, office: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    variables = {"AIRGAP_DEPOT": str(tmp_path / "depot"), "AIRGAP_KEY": str(site.key())}
    push = """
        import bentoml
        from airgap.cloud import BentoCloudClient
        client = BentoCloudClient()
        client.model.push(bentoml.models.get("ranker:v1"), force=False, threads=2)
        client.bento.push(bentoml.bentos.get("shop:v1"), force=False, bare=False, threads=2)
        """
    pull = """
        from bentoml._internal.configuration.containers import BentoMLContainer
        from airgap.cloud import BentoCloudClient
        client = BentoCloudClient()
        store = BentoMLContainer.bento_store.get()
        bento = client.bento.pull("shop:v1", force=False, with_models=True, bento_store=store)
        print(bento.tag, client.model.pull("ranker:v1").tag)
        print([f"{item.name}:{item.version}" for item in client.bento.list().items])
        print(client.bento.get("shop", None).version, client.bento.get("shop", "v1").version)
        """

    run(office, push, **variables)

    assert run(isolated, pull, **variables) == "shop:v1 ranker:v1\n['shop:v1']\nv1 v1\n"


def test_a_depot_lists_the_newest_first(run: Run, office: Side, site: Site, tmp_path: Path) -> None:
    variables = {"AIRGAP_DEPOT": str(tmp_path / "depot"), "AIRGAP_KEY": str(site.key())}
    for name, year in {"middle": 2024, "newest": 2026, "oldest": 2022}.items():
        created = f"{year}-01-02T03:04:05+00:00"
        stores.add_model(office, f"{name}:v1", {"w": name.encode()}, created=created)
        run(office, f"import airgap\nairgap.models.push('{name}:v1')", **variables)
    program = """
        import airgap
        from airgap.cloud import BentoCloudClient
        print([item.name for item in BentoCloudClient().model.list().items])
        print([bundle["created_at"][:4] for bundle in airgap.models.list(depot="{depot}")])
        """.replace("{depot}", variables["AIRGAP_DEPOT"])

    printed = run(office, program, **variables)

    assert printed == "['newest', 'middle', 'oldest']\n['2026', '2024', '2022']\n"


def test_another_store_is_refused(run: Run, isolated: Side, tmp_path: Path) -> None:
    program = f"""
        from bentoml._internal.bento.bento import BentoStore
        from airgap.cloud import BentoCloudClient
        from airgap.errors import UsageError
        try:
            BentoCloudClient().bento.pull("shop:v1", bento_store=BentoStore({str(tmp_path)!r}))
        except UsageError as error:
            print(error.hint)
        """

    assert "BENTOML_HOME" in run(isolated, program, AIRGAP_DEPOT=str(tmp_path / "depot"))

"""What the layout promises, beyond the contracts that import-linter checks."""

import ast
import glob
import os
import re

import grimp
import pytest

import healthctl
import healthd
from healthd import observe

PACKAGES = {package.__name__: os.path.dirname(package.__file__) for package in (healthd, healthctl)}
MODULES = sorted(
    os.path.relpath(path, os.path.dirname(root))
    for root in PACKAGES.values()
    for path in glob.glob(f"{root}/**/*.py", recursive=True)
)
HERE = os.path.dirname(PACKAGES["healthd"])


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("healthd", "healthctl", include_external_packages=True, cache_dir=None)


@pytest.fixture(params=MODULES)
def source(request):
    with open(os.path.join(HERE, request.param), encoding="utf-8") as file:
        return file.read()


def collectors() -> set[str]:
    return {collector.__module__ for collector in observe.collectors()}


def test_no_collector_knows_another(graph):
    found = collectors()
    assert len(found) == 14
    for collector in found:
        assert not graph.find_modules_directly_imported_by(collector) & found


def test_no_collector_is_known_by_name(graph):
    for collector in collectors():
        assert graph.find_modules_that_directly_import(collector) == set()


def test_psutil_only_observes(graph):
    importers = graph.find_modules_that_directly_import("psutil")
    assert importers
    assert all(importer.startswith("healthd.observe.") for importer in importers)


def test_the_protocol_imports_nothing(graph):
    assert graph.find_modules_directly_imported_by("healthd.protocol") == set()


def test_healthctl_knows_of_healthd_the_protocol_alone(graph):
    mine = graph.find_descendants("healthctl") | {"healthctl"}
    others = graph.find_descendants("healthd") | {"healthd"}
    known = {imported for module in mine for imported in graph.find_modules_directly_imported_by(module) & others}
    assert known <= {"healthd.protocol", "healthd"}
    assert "healthd.protocol" in known


def test_healthd_starts_no_process_and_opens_no_network_socket(graph):
    for module in ("subprocess", "multiprocessing", "http", "ssl", "urllib"):
        importers = graph.find_modules_that_directly_import(module) if module in graph.modules else set()
        assert not {importer for importer in importers if importer.split(".")[0] == "healthd"}, module


def test_a_module_says_what_it_is(source):
    assert ast.get_docstring(ast.parse(source)), "no docstring"


def test_a_module_is_short_enough_to_read(source):
    assert len(source.splitlines()) < 360


def test_whoever_catches_everything_says_why(source):
    for line in source.splitlines():
        if re.match(r"\s*except\s*(\(?\s*(Exception|BaseException)\b.*|:.*)", line) and "raise" not in line:
            following = source[source.index(line) + len(line) :].split("raise", 1)[0]
            cleans_up = "BaseException" in line and following.count("\n") <= 3
            assert cleans_up or re.search(r"# noqa: BLE001\s+# \w+", line), line


def test_nothing_is_left_for_later(source):
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplemented)\b", source)


def test_no_module_has_a_name_that_says_nothing():
    words = {"utils", "util", "helpers", "helper", "common", "base", "core", "misc"}
    for module in MODULES:
        assert not words & set(re.split(r"[/_.]", module)), module


def defined(path: str) -> set[str]:
    """Return the classes, their methods (`Class.method`) and the functions (`function()`) of a module."""
    with open(os.path.join(HERE, path), encoding="utf-8") as file:
        tree = ast.parse(file.read())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = {f"{of.name}.{node.name}" for of in classes for node in of.body if isinstance(node, functions)}
    return methods | {of.name for of in classes} | {f"{of.name}()" for of in tree.body if isinstance(of, functions)}


def test_what_the_readme_follows_one_value_through_is_there():
    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as file:
        text = file.read().split("\n## Architecture\n")[1].split("\n**Played again.**")[0]
    flat = text.replace("\n", " ")
    followed = re.findall(r"`([\w.]+(?:\(\))?)`(?:,? \(| in | of )`([\w/]+\.py)`", flat)
    assert len(followed) > 20
    assert [(name, path) for name, path in followed if name not in defined(path)] == []
    paths = set(re.findall(r"`(health[\w/]+\.\w+)`", flat))
    sources = ""
    for path in sorted(paths):
        with open(os.path.join(HERE, path), encoding="utf-8") as file:
            sources += file.read()
    declared = [line for line in re.findall(r"^```text\n(.+)\n```$", text, re.MULTILINE) if " = " in line]
    assert len(declared) == 2
    # What is too long for a line of the source is broken there.
    assert [line for line in declared if re.sub(r"\s", "", line) not in re.sub(r"\s", "", sources)] == []


@pytest.mark.parametrize("package", ["healthctl", "healthctl/notify", "healthctl/web"])
def test_the_map_of_a_package_names_every_module(package):
    with open(os.path.join(HERE, package, "__init__.py"), encoding="utf-8") as file:
        named = set(re.findall(r"\w+", ast.get_docstring(ast.parse(file.read())) or ""))
    parts = {module.removeprefix(f"{package}/").split("/")[0] for module in MODULES if module.startswith(f"{package}/")}
    assert {name for part in parts if not (name := part.removesuffix(".py")).startswith("_")} - named == set()

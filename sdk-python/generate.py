#!/usr/bin/env python3
"""Writes the derived modules of the package: operations, models, types and errors, from the API's document and the names that the
operations have in every language. `--check` only says whether what is there has drifted."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGE = HERE / "python" / "fastn"

# Written by hand in `_client.py`: streams, and what stands for them.
BY_HAND = {"followExecutions", "exportCustomer", "receiveWebhook"}
# Only for a client that is bound to a customer, so that none can be forgotten.
OF_CUSTOMER = {"sendEvents", "runWorkflow"}
# Operations that take a part of their body by position, and the rest of it by keyword.
BY_POSITION = {"deployVersion": "version", "silenceAlertRule": "duration", "runWorkflow": "input"}
# What is never shown when an object is printed.
HIDDEN = {"CapturedToken": ["token"]}
# Modules hold what their names say; these are the words that Python or `dict` has for other things.
TAKEN = set(dir(dict)) | {"from", "in", "is", "class", "global", "import", "not", "or", "and", "if", "for", "pass", "with"}
DURATION = "[smhd]$"
BASE_ERRORS = [
    "ApiError",
    "BadAnswerError",
    "BatchError",
    "ConfigError",
    "FastnError",
    "FieldError",
    "UnknownOutcomeError",
    "UnreachableError",
    "WebhookVerificationError",
]
MARK = "# Derived by `generate.py` from here on."
HEAD = '"""{about}\n\nDerived by `generate.py`: do not edit.\n"""\n\nfrom __future__ import annotations\n\n'


class Document:
    def __init__(self) -> None:
        document = json.loads((ROOT / "docs/openapi.json").read_text())
        self.schemas: dict[str, Any] = document["components"]["schemas"]
        self.names: dict[str, str] = json.loads((ROOT / "sdk-rust/operations.json").read_text())
        self.operations = [
            Operation(self, self.names[told["operationId"]], method.upper(), path, told)
            for path, methods in document["paths"].items()
            for method, told in methods.items()
            if isinstance(told, dict) and told.get("operationId") in self.names
        ]
        self.operations.sort(key=lambda operation: operation.name)

    def kind(self, name: str) -> str:
        schema = self.schemas[name]
        if "enum" in schema:
            return "enum"
        some = [part for part in parts(schema) if part.get("type") != "null"]
        if "properties" in schema or some and len(self.variants(name)) == len(some):
            return "object"
        return "alias"

    def variants(self, name: str) -> list[dict[str, Any]]:
        """The objects of which one stands for the name."""
        return [part for part in parts(self.schemas[name]) if "$ref" in part or "properties" in part]

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        return self.schemas[reference(schema)] if "$ref" in schema else schema


class Operation:
    def __init__(self, document: Document, name: str, method: str, path: str, told: dict[str, Any]) -> None:
        self.document, self.name, self.method, self.path, self.told = document, name, method, path, told
        self.id: str = told["operationId"]
        parameters = told.get("parameters", [])
        self.query = [one for one in parameters if one["in"] == "query" and one["name"] not in ("cursor", "limit")]
        self.headers = {one["name"].lower() for one in parameters if one["in"] == "header"}
        content = told.get("requestBody", {}).get("content", {})
        self.body: dict[str, Any] = content.get("application/json", {}).get("schema", {})
        self.needs_body = bool(told.get("requestBody", {}).get("required"))
        succeeded = [answer for status, answer in told["responses"].items() if status[0] == "2"]
        answer = next(iter(succeeded[0].get("content", {"": {}}).values())).get("schema", {})
        self.answer = reference(answer) if "$ref" in answer else ""

    @property
    def is_list(self) -> bool:
        return self.answer.startswith("Page_")

    @property
    def parts(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    def body_type(self) -> str:
        for part in parts(self.body) or [self.body]:
            if "$ref" in part:
                return reference(part)
        return ""

    def from_body(self) -> list[str]:
        """Parts of the path that the body has too."""
        if self.method != "PUT" or not self.body_type():
            return []
        properties = self.document.schemas[self.body_type()].get("properties", {})
        named = [part for part in self.parts if part in properties]
        return named if named == self.parts else []


def reference(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[-1]


def parts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return schema.get("oneOf") or schema.get("anyOf") or schema.get("allOf") or []


def title(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[_\W]+", name))


def snake(name: str) -> str:
    name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name.replace("-", "_")).lower()
    return name + "_" if name in TAKEN else name


def text(told: str | None, indent: str) -> str:
    """A docstring."""
    told = re.sub(r"\[(`[^`]+`)\]", r"\1", (told or "").strip()).replace("\\", "\\\\").replace('"""', "'''")
    if not told:
        return ""
    lines = [line.strip() for line in told.split("\n")]
    if len(lines) == 1:
        return f'{indent}"""{lines[0]}{" " if lines[0].endswith(chr(34)) else ""}"""\n'
    return f'{indent}"""' + f"\n{indent}".join(lines).replace(f"\n{indent}\n", "\n\n") + f'\n{indent}"""\n'


def is_instant(schema: dict[str, Any]) -> bool:
    return schema.get("format") == "date-time" or any(is_instant(part) for part in parts(schema))


def without_null(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    some = [part for part in parts(schema) if part.get("type") != "null"]
    if parts(schema) and len(some) == 1:
        return some[0], len(some) < len(parts(schema))
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return {**schema, "type": next((kind for kind in kinds if kind != "null"), "null")}, "null" in kinds
    return schema, False


def hint(document: Document, schema: dict[str, Any], write: bool) -> str:
    """The type of a value, without what says that it may be absent."""
    schema, _ = without_null(schema)
    if "$ref" in schema:
        name = reference(schema)
        in_types = write or document.kind(name) != "object"
        return ("" if write else "t." if in_types else "") + title(name)
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'] if value is not None)}]"
    if parts(schema):
        return " | ".join(dict.fromkeys(hint(document, part, write) for part in parts(schema)))
    kind = schema.get("type")
    if kind == "string" and schema.get("format") == "date-time":
        return "str | datetime" if write else "datetime"
    if kind == "string" and schema.get("pattern", "").endswith(DURATION):
        return "str | timedelta" if write else "str"
    if kind == "array":
        return f"list[{hint(document, schema.get('items', {}), write)}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {hint(document, values, write) if isinstance(values, dict) else 'Any'}]"
    return {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}.get(kind or "", "Any")


def reached(document: Document, starts: list[Any]) -> set[str]:
    """Every schema that is named from `starts`."""
    found: set[str] = set()
    todo = list(starts)
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            # Other parts of the document are refused requests, which have one shape.
            if "/schemas/" in one.get("$ref", "") and reference(one) not in found:
                name = reference(one)
                # A page has its rows written out.
                named = [name, name.removeprefix("Page_")] if name.startswith("Page_") else [name]
                found.update(named)
                todo.extend(document.schemas[name] for name in named)
            todo.extend(one.values())
        elif isinstance(one, list):
            todo.extend(one)
    return found


# Types: what is sent.


def types_module(document: Document) -> str:
    written = reached(document, [operation.body for operation in document.operations])
    read = reached(document, [operation.told["responses"] for operation in document.operations])
    filters = reached(document, [operation.query for operation in document.operations])
    enums = {name for name in written | read | filters if document.kind(name) != "object"}
    out = HEAD.format(about="What is sent, as dictionaries with the names of the wire, and the values of enumerations.")
    out += "import sys\nfrom datetime import datetime, timedelta\n"
    out += "from typing import TYPE_CHECKING, Any, List, Literal, TypedDict, Union\n\n"
    out += "if sys.version_info >= (3, 11):\n    from typing import Required\n"
    out += "elif TYPE_CHECKING:\n    from typing_extensions import Required\n\n"
    aliases = ""
    exported = []
    for name in sorted(written | enums):
        schema, kind = document.schemas[name], document.kind(name)
        exported.append(title(name))
        if kind == "enum":
            values = ",\n    ".join(json.dumps(value) for value in schema["enum"])
            out += f"{title(name)} = Literal[\n    {values},\n]\n{text(schema.get('description'), '')}\n"
        elif kind == "alias":
            given = [as_runtime(hint(document, part, True)) for part in parts(schema)] or [hint(document, schema, True)]
            aliases += f"{title(name)} = Union[{', '.join(given)}]\n{text(schema.get('description'), '')}\n"
        elif parts(schema):
            names = []
            for variant in document.variants(name):
                if "$ref" in variant:
                    names.append(title(reference(variant)))
                    continue
                names.append(title(name) + title(tag(variant)))
                out += typed_dict(document, names[-1], variant)
            quoted = ", ".join(f'"{one}"' for one in names)
            aliases += f"{title(name)} = Union[{quoted}]\n{text(schema.get('description'), '')}\n"
            exported.extend(names)
        else:
            out += typed_dict(document, title(name), schema)
    listed = "".join(f'    "{name}",\n' for name in sorted(set(exported)))
    return out + aliases + f"__all__ = [\n{listed}]\n"


def as_runtime(told: str) -> str:
    return re.sub(r"\blist\[", "List[", told)


def tag(variant: dict[str, Any]) -> str:
    """What tells a variant from its siblings: the value of its tag, or the one key that it has."""
    for one in variant["properties"].values():
        if len(one.get("enum", [])) == 1:
            return str(one["enum"][0])
    return str(variant["required"][0])


def typed_dict(document: Document, name: str, schema: dict[str, Any]) -> str:
    properties, required = schema.get("properties", {}), set(schema.get("required", []))
    rows = []
    for key, one in properties.items():
        told = hint(document, one, True) + (" | None" if without_null(one)[1] else "")
        rows.append((key, f"Required[{told}]" if key in required else told, one.get("description")))
    if any(not key.isidentifier() or key in ("from", "in", "not", "is") for key, _, _ in rows):
        fields = "".join(f'        "{key}": "{told.replace(chr(34), chr(39))}",\n' for key, told, _ in rows)
        about = text(schema.get("description"), "")
        return f'{name} = TypedDict(\n    "{name}",\n    {{\n{fields}    }},\n    total=False,\n)\n{about}\n'
    out = f"class {name}(TypedDict, total=False):\n{text(schema.get('description'), '    ')}\n"
    for key, told, about in rows:
        out += f"    {key}: {told}\n{text(about, '    ')}"
    return out + ("" if rows else "    pass\n") + "\n\n"


# Models: what is answered.


def models_module(document: Document) -> str:
    starts = [operation.told["responses"].get(status) for operation in document.operations for status in ("200", "201", "202")]
    read = reached(document, [*starts, {"$ref": "#/schemas/ExecutionUpdate"}, {"$ref": "#/schemas/AlertNotice"}])
    out = HEAD.format(
        about="What is answered: dictionaries with the names of the wire, and attributes with Python's names and types."
    )
    out += "from datetime import datetime\nfrom typing import Any, Literal\n\n"
    out += "from . import types as t\nfrom ._model import Model, instant, one, rows\n\n"
    out += '# mypy: disable-error-code="no-any-return"\n\n\n'
    exported = []
    for name in sorted(read):
        if document.kind(name) != "object" or name.startswith("Page_"):
            continue
        exported.append(title(name))
        out += model(document, name)
    listed = "".join(f'    "{name}",\n' for name in exported)
    return out + f"__all__ = [\n{listed}]\n"


def model(document: Document, name: str) -> str:
    schema = document.schemas[name]
    shapes = [document.resolved(part) for part in document.variants(name)] or [schema]
    out = f"class {title(name)}(Model):\n{text(schema.get('description') or 'As it is stored.', '    ')}\n    __slots__ = ()\n"
    if name in HIDDEN:
        out += f"    _hidden = frozenset({HIDDEN[name]!r})\n"
    properties: dict[str, dict[str, Any]] = {}
    tags: dict[str, list[Any]] = {}
    for shape in shapes:
        for key, one in shape.get("properties", {}).items():
            properties.setdefault(key, one)
            tags.setdefault(key, []).extend(one.get("enum", []))
    for key, one in properties.items():
        everywhere = all(key in shape.get("required", []) for shape in shapes)
        if len(shapes) > 1 and "enum" in one:
            one = {**one, "enum": list(dict.fromkeys(tags[key]))}
        out += attribute(document, key, one, everywhere)
    return out + "\n\n"


def attribute(document: Document, key: str, schema: dict[str, Any], required: bool) -> str:
    told = hint(document, schema, False)
    absent = not required or without_null(schema)[1]
    got = f'self["{key}"]' if not absent else f'self.get("{key}")'
    inner = without_null(schema)[0]
    items = without_null(inner.get("items", {}))[0]
    if is_instant(inner):
        got = f'instant(self, "{key}")' + ("" if absent else "  # type: ignore[return-value]")
    elif "$ref" in inner and document.kind(reference(inner)) == "object":
        got = f'one(self, "{key}", {title(reference(inner))})'
    elif "$ref" in items and document.kind(reference(items)) == "object":
        got = f'rows(self, "{key}", {title(reference(items))})'
    if absent and told != "Any":
        told += " | None"
    out = f"\n    @property\n    def {snake(key)}(self) -> {told}:\n{text(schema.get('description'), '        ')}"
    return out + f"        return {got}\n"


# Errors.


def error_name(code: str) -> str:
    words = [word for word in re.split("[_-]", code) if word and word.upper() != "ERROR"]
    return "".join(word[0].upper() + word[1:].lower() for word in words) + "Error"


def cause(page: str) -> str:
    """Why an error occurs, as its page says."""
    return page.split("## Cause")[1].split("\n##")[0].strip()


def errors_module(document: Document) -> str:
    codes = document.schemas["ErrorCode"]["enum"]
    causes = {code: cause((ROOT / f"docs/errors/{code}.md").read_text()) for code in codes}
    out = HEAD.format(about="The errors of the API, a class for each code, and those of the client.")
    base = BASE_ERRORS
    out += "from ._failure import (\n" + "".join(f"    {name} as {name},\n" for name in base) + ")\n\n\n"
    for code in codes:
        out += f"class {error_name(code)}(ApiError):\n{text(f'`{code}`: {causes[code]}', '    ')}\n\n"
    out += "BY_NAME: dict[str, type[FastnError]] = {\n"
    names = [error_name(code) for code in codes]
    raised = [name for name in base if name not in ("FieldError", "BatchError")]
    out += "".join(f'    "{name}": {name},\n' for name in sorted(names + raised)) + "}\n"
    out += '"""Each class by its name, which is the same in every language."""\n\n'
    out += "__all__ = [\n" + "".join(f'    "{name}",\n' for name in sorted(names + base)) + "]\n"
    return out


def package_module(document: Document) -> str:
    """The package's own file: the part by hand, and the errors."""
    written = (PACKAGE / "__init__.py").read_text()
    names = [error_name(code) for code in document.schemas["ErrorCode"]["enum"]] + BASE_ERRORS
    head = written.split(MARK)[0].rstrip("\n") + f"\n\n{MARK}\n"
    head += "from .errors import (\n" + "".join(f"    {name} as {name},\n" for name in sorted(names)) + ")\n\n"
    public = re.findall(r"^from \.(?!errors).*? import (.*)$", written.split(MARK)[0], re.MULTILINE)
    listed = {name.strip() for names in public for name in names.split(",")} | {"errors", "models", "types"} | set(names)
    # `from fastn import *` leaves Python's own errors as they are.
    shown = sorted(listed - {"TimeoutError"})
    return head + "__all__ = [\n" + "".join(f'    "{name}",\n' for name in shown) + "]\n"


# Operations.


def operations_module(document: Document) -> str:
    out = HEAD.format(about="A method for each operation of the API, for threads and for event loops.")
    out += "from datetime import datetime, timedelta\nfrom typing import Any, Literal\n\n"
    out += "from . import models, types\nfrom ._caller import AsyncCaller, Caller, part_of\n"
    out += "from ._pages import AsyncPager, Pager\n\n\n"
    for prefix, awaited in (("", False), ("Async", True)):
        out += f"class {prefix}Operations({prefix}Caller):\n"
        out += '    """What the account, or one customer of it, has and does."""\n'
        for operation in document.operations:
            if operation.id not in BY_HAND | OF_CUSTOMER:
                out += method(document, operation, awaited)
        out += f"\n\nclass {prefix}CustomerOperations({prefix}Operations):\n"
        out += '    """What needs a customer, beside that."""\n'
        for operation in document.operations:
            if operation.id in OF_CUSTOMER:
                out += method(document, operation, awaited)
        out += "\n\n"
    return out.rstrip("\n") + "\n"


def method(document: Document, operation: Operation, awaited: bool) -> str:
    positional, keywords, sent = [], [], []
    from_body = operation.from_body()
    path = []
    named = re.split("/", operation.path.strip("/"))
    for part in named:
        if not part.startswith("{"):
            path.append(f'"{part}"')
        elif from_body:
            path.append(f'part_of(body, "{part[1:-1]}")')
        else:
            name = snake(part[1:-1])
            is_int = any(
                one["in"] == "path" and one["name"] == part[1:-1] and one["schema"].get("type") == "integer"
                for one in operation.told["parameters"]
            )
            positional.append(f"{name}: {'int' if is_int else 'str'}")
            path.append(name)
    body = body_of(document, operation, positional, keywords)
    if body:
        sent.append(f"body={body}")
    query = []
    for one in operation.query:
        told = qualified(hint(document, one["schema"], True), document)
        if is_instant(one["schema"]):
            told = "datetime | str"
        keywords.append(f"{snake(one['name'])}: {told} | None = None")
        query.append(f'("{one["name"]}", {snake(one["name"])})')
    if query:
        sent.append(f"query=({', '.join(query)},)")
    if operation.is_list:
        keywords.append("page_size: int | None = None")
        sent.append("page_size=page_size")
    elif operation.method != "GET":
        if "if-match" in operation.headers:
            keywords.append("if_match: int | str | None = None")
            sent.append("if_match=if_match")
        keywords.append("idempotency_key: str | None = None")
        sent.append("idempotency_key=idempotency_key")
    if not operation.is_list:
        keywords.append("timeout: float | timedelta | None = None")
        sent.append("timeout=timeout")
    return rendered(operation, awaited, positional, keywords, path, sent)


def body_of(document: Document, operation: Operation, positional: list[str], keywords: list[str]) -> str:
    name = operation.body_type()
    if not name:
        return ""
    if operation.id in BY_POSITION:
        properties = document.schemas[name]["properties"]
        required = document.schemas[name].get("required", [])
        rows = []
        for key, one in properties.items():
            told = qualified(hint(document, one, True), document)
            if key == BY_POSITION[operation.id]:
                positional.append(f"{snake(key)}: {told}" + ("" if key in required else " = None"))
            else:
                keywords.append(f"{snake(key)}: {told} | None = None")
            rows.append(f'"{key}": {snake(key)}')
        absent = any(key not in required and key != BY_POSITION[operation.id] for key in properties)
        written = "{" + ", ".join(rows) + "}"
        return f"{{key: value for key, value in {written}.items() if value is not None}}" if absent else written
    told = f"types.{title(name)}"
    stored = f"Stored_{name}"
    answered = operation.answer
    if answered == stored or answered == f"{name}View":
        told += f" | models.{title(answered)}"
    if operation.id == "sendEvents":
        positional.append(f"event: {told}")
        return "event"
    positional.append(f"body: {told}" + ("" if operation.needs_body else " | None = None"))
    return "body"


def qualified(told: str, document: Document) -> str:
    names = {title(name) for name in document.schemas}
    return re.sub(r"\b[A-Z]\w+", lambda found: f"types.{found[0]}" if found[0] in names else found[0], told)


def rendered(
    operation: Operation, awaited: bool, positional: list[str], keywords: list[str], path: list[str], sent: list[str]
) -> str:
    answer = operation.answer
    where = f'"{operation.method}", ({", ".join(path)},)'
    if operation.is_list:
        row = f"models.{title(answer.removeprefix('Page_'))}"
        returns, call = f"{'Async' if awaited else ''}Pager[{row}]", f"self._list({row}, {where}"
    elif answer:
        returns, call = f"models.{title(answer)}", f"self._one(models.{title(answer)}, {where}"
    else:
        returns, call = "None", f"self._nothing({where}"
    waits = awaited and not operation.is_list
    arguments = ["self", *positional, *(["*", *keywords] if keywords else [])]
    signature = ", ".join(arguments)
    if len(signature) > 80:
        signature = "\n        " + ",\n        ".join(arguments) + ",\n    "
    out = f"\n    {'async ' if waits else ''}def {operation.name}({signature}) -> {returns}:\n"
    out += text(about(operation), "        ")
    keyword = "return " if returns != "None" else ""
    return out + f"        {keyword}{'await ' if waits else ''}{call}{''.join(f', {one}' for one in sent)})\n"


def about(operation: Operation) -> str:
    told = operation.told
    summary, description = told.get("summary", ""), told.get("description", "")
    whole = "\n\n".join(part for part in (summary, description) if part and part != summary or part == summary and part)
    rows = [f"{snake(one['name'])}: {one['description']}" for one in operation.query if one.get("description")]
    if operation.is_list:
        rows.append("page_size: rows of each page that is asked for, at most 1,000.")
    listed = "\n".join(rows)
    return whole + (f"\n\n{listed}" if rows else "") or f"`{operation.method} {operation.path}`"


def main() -> None:
    document = Document()
    written = {
        "types.py": types_module(document),
        "models.py": models_module(document),
        "errors.py": errors_module(document),
        "_operations.py": operations_module(document),
        "__init__.py": package_module(document),
    }
    missing = set(document.names.values()) - {operation.name for operation in document.operations}
    if missing:
        sys.exit(f"operations.json names what the document has not: {sorted(missing)}")
    drifted = [name for name, told in written.items() if not (PACKAGE / name).is_file() or (PACKAGE / name).read_text() != told]
    if "--check" in sys.argv:
        if drifted:
            sys.exit(f"{', '.join(drifted)} has drifted from the API: run python3 sdk-python/generate.py")
        return
    for name in drifted:
        (PACKAGE / name).write_text(written[name])


if __name__ == "__main__":
    main()

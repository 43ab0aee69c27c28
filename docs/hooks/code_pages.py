"""A code path in the text, such as `src/pushforward/core/path.py`, becomes a link to a page that shows the file.

Equation, file, figure and test are then one click apart, and a path to a file that is not there fails the build.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
_CODE_PATH = re.compile(
    r"(?<!\[)`(?P<path>(?![\w/.-]*NAME)(?:src|tests|bench|docs/figures|examples)/[\w/.-]+\.py)(?P<name>::\w+)?`(?!\])"
)
_PAGE = """---
search: {{ exclude: true }}
hide: [navigation]
---
# {name}

`{path}`

{fence}python linenums="1"
{code}
{fence}
"""


def on_files(files, config):
    """Add one page for each file that some page names."""
    named = set()
    for file in files.documentation_pages():
        named |= {match["path"] for match in _CODE_PATH.finditer(file.content_string)}
    for path in sorted(named):
        if not (ROOT / path).is_file():
            raise PluginError(f"a page names {path}, and there is no such file")
        code = (ROOT / path).read_text(encoding="utf-8").rstrip()
        page = _PAGE.format(name=Path(path).name, path=path, code=code, fence="`" * 6)
        files.append(File.generated(config, f"code/{path}.md", content=page))
    return files


def on_page_markdown(markdown, page, **_):
    """Link every code path of a page, but those on the page of the file itself."""
    if page.file.src_uri.startswith("code/"):
        return markdown
    here = posixpath.dirname(page.file.src_uri) or "."

    def link(match):
        page_of_the_file = f"code/{match['path']}.md"
        # The table of systems has little room: there a file goes by its last name.
        shown = f"`{posixpath.basename(match['path'])}`" if here == "." and page.file.name == "systems" else match[0]
        return f"[{shown}]({posixpath.relpath(page_of_the_file, here)})"

    return _CODE_PATH.sub(link, markdown)

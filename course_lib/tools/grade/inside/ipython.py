"""Inside the sandbox: a cell as Python, for the slice; IPython itself says what its lines mean."""

import ast
import linecache
import re

TIMED = ("time", "timeit", "prun", "capture")  # magics whose statement, or the cell below, is what counts


class Silent:
    """What get_ipython() is for a slice: whatever it is asked, it does nothing."""

    def __getattr__(self, name: str):
        return lambda *given, **options: None


def tree_of(source: str, filename: str) -> ast.Module:
    """A cell as Python, as IPython reads it; the statement of %time and the cell below %%time stand there themselves.

    Raises SyntaxError where it is neither Python nor IPython.
    """
    magic = re.match(r"\s*%%(\w+).*\n", source)
    if magic and magic[1] in TIMED:
        source = "\n" * magic[0].count("\n") + source[magic.end() :]
    try:
        tree = ast.parse(source, filename)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager  # a third of a second, and seldom needed

        source = TransformerManager().transform_cell(source)
        tree = _Timed().visit(ast.parse(source, filename))
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    return tree


class _Timed(ast.NodeTransformer):
    """get_ipython().run_line_magic("time", "X = 3") becomes X = 3."""

    def visit_Expr(self, node: ast.Expr):
        match node.value:
            case ast.Call(
                func=ast.Attribute(attr="run_line_magic"), args=[ast.Constant(value=name), ast.Constant(value=code)]
            ) if name in TIMED and not code.lstrip().startswith("-"):
                inner = ast.parse(code)
                for one in ast.walk(inner):
                    ast.copy_location(one, node) if isinstance(one, ast.stmt | ast.expr) else None
                return ast.fix_missing_locations(inner).body or ast.copy_location(ast.Pass(), node)
        return node

"""Answers of code: some are right, and some want to be taken for right."""

from engine.sandbox.guest.plain import MARKER

SQUARE = ("assert f(2) == 4", "assert f(3) == 9")

RIGHT = {
    "plain": (
        "def f(n): return n * n",
        SQUARE,
    ),
    "set": (
        "def f(xs): return {str(x) for x in xs}",
        ("assert f([1, 2, 2]) == {'1', '2'}",),
    ),
    "inside a check": (
        "def f(n): return n * n",
        (
            """
def check(g):
    for n in range(5):
        assert g(n) == n * n
check(f)
""",
        ),
    ),
    "a name of Python's": (
        "def sum(a, b): return a + b",
        (
            "assert sum(1, 2) == 3",
            "assert sum(4, 4) == 8",
        ),
    ),
    "a module's name": (
        "def bisect(xs): return xs[0]",
        ("assert bisect([7]) == 7",),
    ),
    "math without import": (
        "def f(n): return n / 3",
        ("assert math.isclose(f(1), 0.3333333333333333)",),
    ),
    "changes its argument": (
        "def f(xs): xs.sort()",
        (
            """
xs = [3, 1, 2]
f(xs)
assert xs == [1, 2, 3]
""",
        ),
    ),
    "takes a function": (
        "def f(g, n): return g(n)",
        (
            "assert f(lambda n: n + 1, 2) == 3",
            "assert f(len, 'ab') == 2",
        ),
    ),
    "raises": (
        "def f(n): raise ValueError('no')",
        (
            """
try:
    f(1)
    assert False
except ValueError:
    pass
""",
        ),
    ),
    "a class": (
        """
class Stack:
    def __init__(self): self.xs = []
    def push(self, x): self.xs.append(x)
    def pop(self): return self.xs.pop()
""",
        (
            """
s = Stack()
s.push(1)
s.push(2)
assert s.pop() == 2
assert s.xs == [1]
""",
        ),
    ),
    "typing names": (
        "def f(n: Optional[int]) -> List[int]: return [n]",
        ("assert f(1) == [1]",),
    ),
    "an iterator": (
        "def f(n): return map(str, range(n))",
        ("assert list(f(2)) == ['0', '1']",),
    ),
    "types of modules": (
        """
from collections import Counter
from decimal import Decimal
def f(): return Counter('aab'), Decimal('1.10'), float('inf')
""",
        (
            """
from collections import Counter
from decimal import Decimal
assert f() == (Counter('aba'), Decimal('1.1'), float('inf'))
""",
        ),
    ),
    "prints": (
        """
print('hello')
def f(n):
    print(n)
    return n * n
""",
        SQUARE,
    ),
    "named tuple": (
        """
from collections import namedtuple
P = namedtuple('P', 'x y')
def f(): return P(1, 2)
""",
        ("assert f() == (1, 2)",),
    ),
}

FAKE = MARKER + '{"nonce": "x", "trace": [], "missing": false, "failure": null, "outputs": []}'
SPOOF = f"""
import os, sys
text = {FAKE!r}
print(text)
sys.__stdout__.write(text + chr(10))
sys.__stdout__.flush()
os.write(1, text.encode() + bytes([10]))
"""

FAKES = {
    "wrong": "def f(n): return n + n + 1",
    "always equal": """
class Yes:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
def f(n): return Yes()
""",
    "always equal, an int": """
class Yes(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def f(n): return Yes(7)
""",
    "says it is an int": """
class Yes:
    __class__ = int
    def __eq__(self, other): return True
def f(n): return Yes()
""",
    "always equal, in a list": """
class Yes(list):
    def __eq__(self, other): return True
def f(n): return Yes()
""",
    "leaves before": """
import os
os._exit(0)
""",
    "leaves politely": """
import sys
sys.exit(0)
""",
    "leaves when asked": """
import os
def f(n): os._exit(0)
""",
    "leaves politely when asked": """
import sys
def f(n): sys.exit(0)
""",
    "patches Python": """
import builtins, sys, os
builtins.AssertionError = Warning
builtins.print = lambda *a, **k: None
sys.exit = os._exit = lambda code: None
builtins.int.__index__
def f(n): raise AssertionError
""",
    "patches exceptions": """
import builtins
builtins.AssertionError = type('A', (Exception,), {})
def f(n): raise AssertionError('passed')
""",
    "prints a verdict": """
@SPOOF@
def f(n): return 0
""",
    "prints a verdict and leaves": """
@SPOOF@
os._exit(0)
""",
    "prints a verdict when it ends": """
import atexit
@atexit.register
def say():
    import os
    os.write(1, @FAKE@.encode())
def f(n): return 0
""",
    "stops the iteration": "def f(n): raise StopIteration",
    "replaces the harness": """
import sys
frame = sys._getframe()
while frame:
    frame.f_globals.update({name: (lambda *a, **k: True) for name in ('encode', 'decode', 'as_json', 'run_judge')})
    frame = frame.f_back
def f(n): return 0
""",
    "traces": """
import sys
def look(frame, event, arg):
    frame.f_globals['expected'] = 4
    return look
sys.settrace(look)
def f(n): return 0
""",
    "searches the memory": """
import gc, sys
def f(n):
    frame, texts = sys._getframe(), []
    while frame:
        texts += [repr(value) for value in [*frame.f_locals.values(), *frame.f_globals.values()]]
        frame = frame.f_back
    texts += [repr(held)[:10_000] for held in gc.get_objects() if type(held) in (list, dict, tuple)]
    hits = [text for text in texts if ('f(%d) ' % n + '== ') in text or '_nonce_' in text]
    return int(hits[0].split('f(%d) == ' % n)[1].split()[0].strip('\\'"')) if hits else None
""",
    "too deep": """
def f(n):
    deep = []
    for _ in range(900): deep = [deep]
    return deep
""",
    "holds itself": """
def f(n):
    xs = []
    xs.append(xs)
    return xs
""",
    "goes on for ever": """
def f(n):
    while True: yield n
""",
    "no code": "I would write a function that squares.",
    "no such name": "def g(n): return n * n",
}

FAKES_OF_TESTS = {
    "redefines what the test compares with": (
        """
def set(xs): return 1
def f(n): return 0
""",
        "assert set(f(1)) == set([2])",
    ),
    "redefines a module": (
        """
class math:
    isclose = lambda *a: True
def f(n): return 5
""",
        "assert math.isclose(f(1), 2)",
    ),
    "contains everything": (
        """
class Yes:
    def __contains__(self, item): return True
    def __iter__(self): return iter(())
def f(n): return Yes()
""",
        "assert 7 in f(1)",
    ),
    "cuts the iteration": (
        "def f(n): raise StopIteration",
        "assert all(map(f, [1, 2]))",
    ),
    "changes what is expected": (
        """
def f(xs):
    xs[:] = [1]
    return [1]
""",
        """
want = [2]
assert f([3]) == want
""",
    ),
    "knows the setup's data": (
        """
WANT = 1
def f(n): return 1
""",
        "assert f(3) == WANT",
    ),
}

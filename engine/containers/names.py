"""Names of containers: checked as Docker checks them, and found for those who give none."""

from __future__ import annotations

import re
import secrets
from collections.abc import Container
from typing import Final

from engine.errors import InvalidParameter

_VALID: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
LONGEST: Final = 128

_ADJECTIVES: Final = (  # noqa: SIM905 - a list literal of this would fill pages
    "able airy alert amber ample apt ardent astute blithe bold brave breezy bright brisk calm candid careful "
    "cheerful chipper civil clear clever cosy crisp curious daring deft devoted direct dreamy eager early earnest "
    "easy elegant epic even exact fair faithful fearless festive fine fleet fluent fond frank free fresh friendly "
    "frosty gallant generous gentle gifted glad gleaming golden good graceful grand happy hardy hearty helpful "
    "honest hopeful humble jolly jovial joyful keen kind lively loyal lucid lucky mellow merry mild modest neat "
    "nimble noble patient peaceful placid plucky polite proud prudent quick quiet radiant ready robust serene "
    "sharp shining silent sincere smart snug spry stable steady stoic sunny supple swift tender tidy true upbeat "
    "valiant vibrant vivid warm wise witty zesty"
).split()

_SURNAMES: Final = (  # noqa: SIM905
    "abel agnesi airy amundsen anning archimedes arkwright avogadro babbage backus banks banneker barents bassi "
    "beaufort bell bernoulli bessel bhabha bohr boole booth borlaug bose bouvet boyle brahe braille brunel "
    "burnell cabot cantor carson cassini cauchy cavendish cayley celsius chandrasekhar chapman chatelet clarke "
    "colden conway cook copernicus coulomb cousteau cray curie dampier darwin davy dijkstra dirac drake earhart "
    "easley eddington edison elion ellis eratosthenes erdos erikson euclid euler faraday fermat fermi feynman "
    "fibonacci flinders fourier franklin fresnel galileo galois galvani gama gauss germain gilbert goddard "
    "goodall hadley halley hamilton harrison hawking heisenberg henson hero herschel hertz heyerdahl hilbert "
    "hodgkin hooke hopper hoyle hubble hudson humboldt huygens hypatia jemison johnson joliot joule kare kepler "
    "khayyam kilby knuth kovalevskaya lagrange lamarr laperouse laplace leakey leavitt leibniz lindbergh linnaeus "
    "liskov lovelace lovell magellan marconi maxwell mayer mcclintock meitner mendel mendeleev mercator "
    "mirzakhani mitchell moser murdock nansen napier nash newcomen newton nightingale nobel noether oersted ohm "
    "pascal pasteur pauling payne perlman planck poincare polo pythagoras ramanujan reynolds ride riemann ritchie "
    "rontgen ross rubin rutherford sagan scott seacole shackleton shannon slocum snell sommerville spence "
    "stevenson stokes swartz tabarly tasman taussig tesla tharp thompson torricelli turing vaughan villani volta "
    "watt wegener weierstrass wiles wilkes williams wilson wozniak wright yalow yonath zeppelin"
).split()


def checked(name: str) -> str:
    """*name* without Docker's leading slash; `InvalidParameter` in Docker's words when it is no name."""
    bare = name.removeprefix("/")
    if not _VALID.fullmatch(bare):
        raise InvalidParameter(
            f"Invalid container name ({name[:LONGEST]}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, "
            "two characters at least"
        )
    if len(bare) > LONGEST:
        raise InvalidParameter(f"Invalid container name ({bare[:20]}…): at most {LONGEST} characters")
    return bare


def generated(taken: Container[str]) -> str:
    """A name such as `calm_hopper` that is not *taken*; a digit is added once luck runs out."""
    for attempt in range(100):
        name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_SURNAMES)}"
        if attempt > 5:
            name += str(secrets.randbelow(10 * attempt))
        if name not in taken:
            return name
    return f"container_{secrets.token_hex(6)}"

"""The recipes of corpora that come with the package, with a line each; reading them would slow ``--help``."""

RECIPES = {
    "local-python": "this machine's Python: standard library, packages and their documentation",
    "my-repositories": "your own checkouts: filtered, redacted, without near-copies",
    "pile-and-stack": "code of The Stack and prose of The Pile, as the paper mixed them",
    "the-stack": "The Stack: CodeGen2's languages, permissive licences, no benchmarks",
}

"""Triton's model repositories as they are: `config.pbtxt` in, the platform's own spec out.

pbtxt.py       the text format to a message, the line of every key, the names that are unknown
keys.py        what becomes of each key: honoured, of no effect, named as not honoured, refused
backends.py    which backends are served, and what to do about the others
translation.py the message to a ModelSpec and to what only such a repository says
document.py    a spec as Triton's clients are told of it: the JSON of /v2/models/{m}/config
"""

"""Credentials in texts: the forms in which people write them, and `mask`, which replaces them.

`collector/agent.yaml` holds the same forms; a test compares both. The patterns mean the same to RE2 and to `re`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

MASK: Final = "****"

_NAMES = (
    r"passw(?:or)?ds?|passphrases?|secrets?|credentials?|authorization|cookies?|token"
    r"|(?:api|private|access|encryption|signing|shared|account|secret|master|ssh|deploy|subscription|functions)"
    r"[_. -]?keys?"
    r"|(?:card|security|account|passport)[_. -]?numbers?|e[_.-]?mails?"
)
_SHORT_NAMES = (
    r"ssn|iban|pin|pwd|cvv|otp|mail|(?:db|user|admin|root|smtp|ftp|ldap|redis|mysql|postgres)[_.-]pass|"
    r"(?:(?:tele|cell|mobile)[_.-]?)?phones?|(?:access|auth|refresh|session|id)[_. -]?tokens"
)
_CAMEL_NAMES = r"Ssn|SSN|Iban|IBAN|Pin|PIN|Pwd|Mail|Phones?"
_SUFFIX = (
    r"(?:[_. -]?(?:values?|address(?:es)?|hash|header|numbers?|plain|raw|pem|base|old|new|confirm(?:ation)?))*"
    r"[_.-]?[0-9]*"
)
NAME: Final = (
    rf"""(?:(?i:{_NAMES})|(?i:(?:^|[^a-z])(?:{_SHORT_NAMES}))|(?i:["'?&]pass)|[a-z](?:{_CAMEL_NAMES}))(?i:{_SUFFIX})"""
)
"""The end of a name whose value is secret: `user_pin` and `userPin`, not `spin`; `api_key`, not `api_key_id`."""
KEY: Final = rf"{NAME}$|(?i:(?:^|[^a-z])(?:cookies?|credentials?)[.][^.]+$)"
"""The name of an attribute whose value is secret."""

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_NESTED = rf'[{{\[](?:{_QUOTED}|[^{{}}\[\]"])*[}}\]]'
_NESTED_TWICE = rf'[{{\[](?:{_QUOTED}|[^{{}}\[\]"]|{_NESTED})*[}}\]]'
_JSON_VALUE = rf"""(?:[bru]?{_QUOTED}|[bru]?'(?:[^'\\]|\\.)*'|{_NESTED_TWICE}|[{{\["'](?s:.*)|[^\s"',}}\]]+)"""
"""A value of JSON or of a dict. One that is nested deeper than twice, or cut off, is masked to the end of the text."""
_CALL = r"""(?:[\w.]*\()?"""
"""Before the quote of a value: `SecretStr('...')`."""
_PAIR = r"""[,;]?\s*\\*["']?(?i:value)\\*["']?\s*[:=]"""
"""Between name and value: `"name": "password", "value": "..."`."""
_PYDANTIC = r"""(?:\n|\\n)[^\n\\]*input_value=|[)\]],[^{}]*?["']input\\*["']\s*:"""
"""Between name and value in a validation error of pydantic, as text and as `errors()`."""
_BRACKET = r"(?:\[?\]|(?:%5[Bb])?%5[Dd])?"
"""After a name: `user[password]=`, also if it is percent-encoded, and `headers["x-api-key"] =`."""
_BEFORE_VALUE = rf"""{NAME}\\*["']?{_BRACKET}\s*(?:[:=]+>?|%3[aA]|%3[dD]|{_PAIR}|{_PYDANTIC})\s*"""
_PLAIN_VALUE = (
    rf"""{_CALL}([bruEN]?")(?:[^"\\]|\\.)+|{_CALL}([bru]?\\+")[^"\\]+|{_CALL}([bruEN]?')(?:[^'\\]|\\.)+"""
    rf"""|{_CALL}([bru]?\\+')[^'\\]+|{_NESTED_TWICE}|[^\s,;&"'{{}}\[\])>\\]+"""
)


class CredentialForm(NamedTuple):
    """One form of a credential."""

    pattern: str
    replacement: str
    """With groups as RE2 has them: `${1}`."""


FORMS: Final = (
    # A private key.
    CredentialForm(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*PRIVATE KEY[A-Z ]*-----|$)", MASK),
    # Everything between :// and the host, also with /, ? or # in the password; user:password@ without a scheme, but
    # not the image redis:7@sha256:...
    CredentialForm(r"""://[^\s/?#"'<>]*:(?:[0-9]*[^\s/?#@"'<>0-9][^\s/?#@"'<>]*)?[/?#][^\s@"'<>]*@""", f"://{MASK}@"),
    CredentialForm(r"""://[^\s/?#"'<>]*@""", f"://{MASK}@"),
    CredentialForm(
        r"""[A-Za-z_][\w.+-]*:[^\s@/:"'<>,;*]+@([A-Za-rt-z0-9\[(]|s[^h\s]|sh[^a\s]|sha[^0-9\s])""", MASK + "@${1}"
    ),
    CredentialForm(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)*[.][A-Za-z]{2,}", MASK),
    # HTTP authentication.
    CredentialForm(
        r"""(?i)\b(digest|aws4-hmac-sha256)\s+(?:[\w-]+=(?:"[^"]*"|\\"[^"\\]*\\"|[^\s,"]+)(?:,\s*)?)+""",
        "${1} " + MASK,
    ),
    CredentialForm(r"(?i)\b(bearer|negotiate)(?:\s|%20|[+])+[a-z0-9._~+/=-]+", "${1} " + MASK),
    CredentialForm(
        r"\b((?i:basic))(?:\s|%20|[+])+[A-Za-z0-9+/_-]{3,}(?:[a-z][A-Z]|[0-9]|=)[A-Za-z0-9+/=_-]*",
        "${1} " + MASK,
    ),
    CredentialForm(
        r"""((?i:authorization)\\*["']?\s*[:=]\s*\\*["']?)(?:[\w-]+\s+)?"""
        r"""(?:(?:[\w-]+=\\*"[^"\\]*\\*"(?:,\s*)?)+|[^\s,;"'\\]+)""",
        "${1}" + MASK,
    ),
    CredentialForm(
        r"""((?i:cookie)\\*["']?\s*:\s*\\*["']?)(?:[^\r\n"'\\=]|=\\*"[^"\\;,\r\n]*\\*"|=)+""", "${1}" + MASK
    ),
    # A name and its value: in JSON, in a DSN, in a query, in a dict, on a command line, in XML, in SQL.
    CredentialForm(rf"""({NAME}["']\s*:\s*){_JSON_VALUE}""", '${1}"' + MASK + '"'),
    CredentialForm(rf"({_BEFORE_VALUE})(?:{_PLAIN_VALUE})", "${1}${2}${3}${4}${5}" + MASK),
    CredentialForm(
        rf"""([(\[][bru]?["']?[\w. -]*{NAME}["'],\s*[bru]?)(?:{_QUOTED}|'(?:[^'\\]|\\.)*')(\s*[)\]])""",
        '${1}"' + MASK + '"${2}',
    ),
    CredentialForm(rf"""((?:^|[\s'"=(\[,])--?[\w-]*{NAME}\s+)[^\s-]\S*""", "${1}" + MASK),
    CredentialForm(r"""( --?u(?:ser)?[ =]["']?[A-Za-z_][^\s:"']*:)[^\s"'/][^\s"']*""", "${1}" + MASK),
    CredentialForm(rf"""(<[\w:.-]*{NAME}(?:\s[^<>]*)?>)[^<>]+(</)""", "${1}" + MASK + "${2}"),
    CredentialForm(rf"""(INSERT INTO\s[^()]*\([^()]*{NAME}[^()]*\)\s*VALUES\s*)(?s:.+)""", "${1}" + MASK),
    CredentialForm(
        r"""((?i:passw(?:or)?d(?: for [^\s=]+ =)?(?: to)?|identified(?: with \S+)? by|requirepass|masterauth)"""
        r"""(?:\s+|\())E?["'][^"']*["']""",
        "${1}'" + MASK + "'",
    ),
    CredentialForm(
        r"""((?i:(?:user|role)\s+\S+\s+identified by|requirepass|masterauth)\s+)[^\s"'(;,]+""", "${1}" + MASK
    ),
    CredentialForm(
        r"""(?i)([?&](?:sig|signature|key|authz?|otp|jwt|ticket|client_assertion|samlresponse|awsaccesskeyid"""
        r"""|x-(?:amz|goog)-(?:signature|credential|security-token))=)"""
        r"""[^&\s"'#<>\\]+""",
        "${1}" + MASK,
    ),
    # Redis.
    CredentialForm(r"""\bAUTH[ \t]+[^\s"']+(?:[ \t]+[^\s"']+)?""", "AUTH " + MASK),
    # Addresses that are a credential: Telegram, Slack, Discord.
    CredentialForm(r"/bot[0-9]{6,}:[\w-]{20,}", "/bot" + MASK),
    CredentialForm(r"""hooks[.]slack[.]com/[^\s"'<>]+""", "hooks.slack.com/" + MASK),
    CredentialForm(r"""/api/webhooks/[^\s"'<>]+""", "/api/webhooks/" + MASK),
    # Keys of fixed form: AWS, Google, GitHub, GitLab, Slack, model services, package registries, JWT.
    CredentialForm(
        r"\b(?:A(?:KIA|SIA)[A-Z0-9]{16}|AIza[\w-]{35}|gh[a-z]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}"
        r"|xox[a-z]-[\w-]{10,}|sk[-_][\w-]{20,}|hf_[A-Za-z0-9]{20,}|eyJ[\w-]+[.][\w-]+[.][\w-]*"
        r"|(?:npm|gsk)_\w{20,}|(?:pypi|nvapi)-[\w-]{20,}|hvs[.][\w.-]{20,})",
        MASK,
    ),
)

_HINTS: Final = [
    "@",
    "pass",
    "secret",
    "credential",
    "auth",
    "cvv",
    "otp",
    " -u",
    "--user",
    "/bot",
    "hooks.slack.com",
    "/api/webhooks/",
    "npm_",
    "gsk_",
    "pypi-",
    "nvapi-",
    "hvs.",
    "cookie",
    "token",
    "key",
    "number",
    "mail",
    "phone",
    "ssn",
    "iban",
    "pin",
    "pwd",
    "bearer",
    "basic",
    "digest",
    "negotiate",
    "identified",
    "requirepass",
    "masterauth",
    "signature",
    "sig=",
    "otp=",
    "jwt=",
    "ticket=",
    "assertion=",
    "samlresponse=",
    "akia",
    "asia",
    "aiza",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xox",
    "sk-",
    "sk_",
    "hf_",
    "eyj",
]
"""Every form holds one of these in lower case."""
_LONG_HINTS: Final = ["-----BEGIN", "input_value=", "INSERT INTO"]
"""Forms that may be longer than a line hold one of these."""


@lru_cache(1)
def _compiled() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(form.pattern), re.sub(r"\$\{(\d)\}", r"\\\1", form.replacement)) for form in FORMS]


def mask(text: str) -> str:
    """Returns the text with every credential replaced; the words around it stay.

    Lines are looked at one by one, since few lines of a stack trace hold a word that asks for a closer look; some forms
    are longer than a line.
    """
    if any(hint in text for hint in _LONG_HINTS):
        return _mask_line(text)
    return "\n".join(_mask_line(line) for line in text.split("\n"))


def _mask_line(line: str) -> str:
    lower = line.lower()
    if any(hint in lower for hint in _HINTS):
        for pattern, replacement in _compiled():
            line = pattern.sub(replacement, line)
    return line

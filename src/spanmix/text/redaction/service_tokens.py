"""Formats of tokens that services publish so that scanners can find them, beyond those of ``detect-secrets``.

The formats are facts of each service's documentation; the rules of Gitleaks (MIT) list the same ones. A token
that has its service's prefix and length is taken as one, without a look at its surroundings.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from spanmix.text.redaction.found import KEY
from spanmix.text.redaction.plausible import is_plausible_token

RULES = {
    "GitHub Fine-grained Token": r"github_pat_[A-Za-z0-9_]{82}",
    "Google API Key": r"AIza[0-9A-Za-z_-]{35}",
    "Google OAuth Client Secret": r"GOCSPX-[0-9A-Za-z_-]{28}",
    "Anthropic API Key": r"sk-ant-[a-z0-9]{3,8}-[0-9A-Za-z_-]{80,110}",
    "OpenAI Project Key": r"sk-(?:proj|svcacct|admin)-[0-9A-Za-z_-]{40,180}",
    "Hugging Face Token": r"hf_[A-Za-z]{34}",
    "npm Token": r"npm_[A-Za-z0-9]{36}",
    "DigitalOcean Token": r"do[opr]_v1_[a-f0-9]{64}",
    "Shopify Token": r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    "Databricks Token": r"dapi[a-f0-9]{32}",
    "Vault Token": r"hvs\.[A-Za-z0-9_-]{90,120}",
    "Slack App Token": r"xapp-[0-9]-[A-Z0-9]{6,}-[0-9]+-[a-z0-9]{32,}",
    "Discord Webhook": r"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,70}",
    "Postman Key": r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    "Grafana Token": r"glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}",
    "New Relic Key": r"NRAK-[A-Z0-9]{27}",
    "Stripe Test Key": r"[rs]k_test_[0-9a-zA-Z]{24,99}",
    "Mailgun Key": r"key-[0-9a-f]{32}",
    "age Secret Key": r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
    "Linear Key": r"lin_api_[A-Za-z0-9]{40}",
    "RubyGems Key": r"rubygems_[a-f0-9]{48}",
    "Docker Token": r"dckr_pat_[A-Za-z0-9_-]{27}",
    "PlanetScale Token": r"pscale_(?:tkn|pw)_[A-Za-z0-9_=.-]{32,64}",
    "Sentry Token": r"sntry[su]_[A-Za-z0-9+/=_-]{60,}",
    "Supabase Key": r"sbp_[a-f0-9]{40}",
    "Pulumi Token": r"pul-[a-f0-9]{40}",
    "Terraform Cloud Token": r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}",
    "Replicate Token": r"r8_[A-Za-z0-9]{37}",
    "Groq Key": r"gsk_[A-Za-z0-9]{52}",
    "Facebook Token": r"EAA[A-Za-z0-9]{90,}",
}
_COMPILED = {
    name: re.compile(rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])") for name, pattern in RULES.items()
}


def service_tokens(line: str, rules: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield kind, detector and value of each token in a line that one of the named rules finds."""
    for name, pattern in _COMPILED.items():
        if name not in rules:
            continue
        for match in pattern.finditer(line):
            if is_plausible_token(match[0]):
                yield KEY, name, match[0]

"""The public suffix list as data: which part of a host name somebody registered."""

from functools import lru_cache
from ipaddress import ip_address

from tldextract import TLDExtract

# The list that tldextract ships, never one from the network; x.github.io and x.blogspot.com are sites of their own.
_extract = TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)


@lru_cache(maxsize=100_000)
def registrable_domain(host: str) -> str | None:
    """`www.likeo.co.uk` -> `likeo.co.uk`. None for an IP address, a bare name, or a public suffix itself.

    Names under an unknown top level (our samples' .example and .test) count as registered one level below it.
    """
    host = host.rstrip(".").lower()
    try:
        ip_address(host.strip("[]"))
        return None
    except ValueError:
        pass
    parts = _extract(host)
    if not parts.suffix:
        labels = host.split(".")
        return ".".join(labels[-2:]) if len(labels) > 1 and all(labels[-2:]) else None
    return parts.top_domain_under_public_suffix or None

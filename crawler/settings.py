"""The crawl in numbers: Scrapy's settings, with a reason on every odd line.

Order of the downloader's middlewares, engine first: scope 10 -> robots.txt 100 -> retry 550 -> redirect 600 ->
WARC 860 -> network. An address is judged before robots.txt is asked for; the WARC sees what the network gave.
"""

from typing import Any

import crawler.page
from crawler import frontier

SETTINGS: dict[str, Any] = {
    "BOT_NAME": "fantomes",
    "ROBOTSTXT_OBEY": True,
    "ROBOTSTXT_USER_AGENT": "Fantomes",
    "AUTOTHROTTLE_ENABLED": True,
    "AUTOTHROTTLE_START_DELAY": 1.0,
    "DOWNLOAD_DELAY": 1.0,
    "DOWNLOAD_DELAY_JITTER": 0,  # "at least" a second is not half a second now and then
    "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
    "CONCURRENT_REQUESTS": 16,
    "CONCURRENT_ITEMS": 1,  # a visit gives one item, and Scrapy starts so many tasks for each answer
    "DOWNLOAD_TIMEOUT": 60,  # a server that hangs or drips costs a minute, three times
    "DOWNLOAD_MAXSIZE": crawler.page.MAX_BODY,  # holds for the body as sent and, by HttpCompression, unpacked
    "DOWNLOAD_WARNSIZE": 0,
    "DOWNLOAD_VERIFY_CERTIFICATES": True,  # evidence from an impostor would be no evidence
    "DOWNLOAD_HANDLERS": {  # HTTP is the only way out
        **dict.fromkeys(("http", "https"), "crawler.download.Handler"),
        **dict.fromkeys(("data", "file", "ftp", "s3")),
    },
    "REDIRECT_MAX_TIMES": 8,
    "METAREFRESH_MAXDELAY": 10,
    "RETRY_TIMES": 2,
    "COOKIES_ENABLED": False,  # every page as a first visitor sees it
    "HTTPPROXY_ENABLED": False,  # a proxy would look names up behind the scope's back
    "TWISTED_DNS_RESOLVER": "crawler.scope.Resolver",
    "REMOTE_CONTROL_ENABLED": False,  # Scrapy 2.19 turns on a server that executes Python
    "TELNETCONSOLE_ENABLED": False,
    "DOWNLOADER_MIDDLEWARES": {
        "crawler.scope.ScopeMiddleware": 10,
        "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
        "crawler.download.Robots": 100,
        "scrapy.downloadermiddlewares.redirect.MetaRefreshMiddleware": None,
        "crawler.download.MetaRefresh": 580,
        "crawler.warc.WarcMiddleware": 860,
        "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,  # the scope knows registered domains
    },
    "SPIDER_MIDDLEWARES": {  # statuses, lengths and depths are ours to judge; nobody is told where we come from
        f"scrapy.spidermiddlewares.{name}": None
        for name in (
            "start.StartSpiderMiddleware",
            "httperror.HttpErrorMiddleware",
            "referer.RefererMiddleware",
            "urllength.UrlLengthMiddleware",
            "depth.DepthMiddleware",
        )
    },
    "ITEM_PIPELINES": {"crawler.pipeline.StorePipeline": 500},
    "EXTENSIONS": {"crawler.politeness.Politeness": 500},  # after AutoThrottle (0), whose delay it raises
    "DEFAULT_REQUEST_HEADERS": {
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.5",
        "Accept-Language": "fr,en;q=0.8,*;q=0.5",
    },
    "FRONTIER_ALIVE": frontier.ALIVE,
    "FRONTIER_PER_HOST": frontier.PER_HOST,
    "LOG_LEVEL": "INFO",
    "LOG_VERSIONS": [],
}

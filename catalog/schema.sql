-- The public catalogue. Only publish.py writes it; addresses of sellers are stored defanged.
CREATE TABLE publication (
    id INTEGER PRIMARY KEY CHECK (id = 1), built_at TEXT NOT NULL, version TEXT NOT NULL,
    publisher_name TEXT NOT NULL, publisher_contact TEXT NOT NULL,
    sources INTEGER NOT NULL, vendors INTEGER NOT NULL, pages INTEGER NOT NULL, blocks INTEGER NOT NULL,
    claims INTEGER NOT NULL, without_evidence INTEGER NOT NULL, policy TEXT NOT NULL
);
CREATE TABLE labels (
    id TEXT PRIMARY KEY, name_en TEXT NOT NULL, name_fr TEXT NOT NULL, definition TEXT NOT NULL, definition_fr TEXT NOT NULL,
    why_en TEXT NOT NULL, why_fr TEXT NOT NULL, severity INTEGER NOT NULL, position INTEGER NOT NULL
);
CREATE TABLE provisions (
    id TEXT PRIMARY KEY, jurisdiction TEXT NOT NULL, about TEXT NOT NULL, citation_en TEXT NOT NULL, citation_fr TEXT NOT NULL,
    line_en TEXT NOT NULL, line_fr TEXT NOT NULL, address TEXT NOT NULL, mark TEXT NOT NULL, position INTEGER NOT NULL
);
CREATE TABLE policies (
    id TEXT PRIMARY KEY, platform TEXT NOT NULL, citation_en TEXT NOT NULL, citation_fr TEXT NOT NULL,
    line_en TEXT NOT NULL, line_fr TEXT NOT NULL, address TEXT NOT NULL, mark TEXT NOT NULL, position INTEGER NOT NULL
);
CREATE TABLE findings (
    id TEXT PRIMARY KEY, line_en TEXT NOT NULL, line_fr TEXT NOT NULL, address TEXT NOT NULL, mark TEXT NOT NULL,
    contrary INTEGER NOT NULL, position INTEGER NOT NULL
);
CREATE TABLE labels_provisions (
    label_id TEXT NOT NULL REFERENCES labels(id), provision_id TEXT NOT NULL REFERENCES provisions(id),
    PRIMARY KEY (label_id, provision_id)
);
CREATE TABLE labels_policies (
    label_id TEXT NOT NULL REFERENCES labels(id), policy_id TEXT NOT NULL REFERENCES policies(id),
    PRIMARY KEY (label_id, policy_id)
);
CREATE TABLE labels_findings (
    label_id TEXT NOT NULL REFERENCES labels(id), finding_id TEXT NOT NULL REFERENCES findings(id),
    PRIMARY KEY (label_id, finding_id)
);
CREATE TABLE sources (  -- a state (health): ok, below-floor, incomplete, silent, failing, never; null = given as a file
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, url TEXT, title TEXT, health TEXT,
    last_run_at TEXT, last_gave_at TEXT,  -- the last visit; the last one that found a page, new or unchanged
    pages INTEGER, blocks INTEGER  -- found by the last visit
);
CREATE TABLE vendors (id TEXT PRIMARY KEY, name TEXT NOT NULL, domain TEXT NOT NULL UNIQUE);
CREATE TABLE pages (
    id INTEGER PRIMARY KEY, vendor_id TEXT NOT NULL REFERENCES vendors(id), title TEXT, url TEXT NOT NULL, lang TEXT,
    fetched_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, published_at TEXT, status INTEGER NOT NULL,
    voice TEXT NOT NULL, voice_score REAL NOT NULL, model TEXT, charset TEXT,
    source_id TEXT NOT NULL REFERENCES sources(id), sha256 TEXT NOT NULL,
    warc TEXT NOT NULL, warc_offset INTEGER NOT NULL, warc_length INTEGER NOT NULL
);
CREATE TABLE pages_policies (  -- rules of the platforms that the page names
    page_id INTEGER NOT NULL REFERENCES pages(id), policy_id TEXT NOT NULL REFERENCES policies(id),
    PRIMARY KEY (page_id, policy_id)
);
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY, page_id INTEGER NOT NULL REFERENCES pages(id), position INTEGER NOT NULL,
    kind TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE claims (  -- a machine tag, never a verdict
    id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL REFERENCES vendors(id), label TEXT NOT NULL REFERENCES labels(id),
    quote TEXT NOT NULL, lang TEXT, source_kind TEXT NOT NULL, fetched_at TEXT NOT NULL, score REAL NOT NULL,
    status TEXT NOT NULL, page_id INTEGER NOT NULL REFERENCES pages(id), block_id INTEGER NOT NULL REFERENCES blocks(id),
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, vendor TEXT NOT NULL, policy TEXT NOT NULL, rule TEXT,
    model TEXT NOT NULL,
    -- when these very words stood on the page, and when somebody looked last; gone_since: null = not found missing
    first_seen_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, last_checked_at TEXT NOT NULL, gone_since TEXT,
    words TEXT NOT NULL, examples TEXT NOT NULL  -- why, as JSON: [[word, weight], ...], [[id, invented text], ...]
);
CREATE TABLE evidence (  -- the raw gzip member of the WARC record: this file alone lets a stranger verify
    page_id INTEGER PRIMARY KEY REFERENCES pages(id), sha256 TEXT NOT NULL, warc_filename TEXT NOT NULL,
    warc_offset INTEGER NOT NULL, record BLOB NOT NULL
);

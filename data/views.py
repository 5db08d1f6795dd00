"""What the store says by way of views: what people decided of a claim, and since when its words stood there."""

from sqlite_utils import Database

CLAIM_DECISIONS = """
-- A row a claim; decision: what a person said last of exactly these words at exactly this place, null = nobody did.
-- In the capture that the person saw, the place is the block's position. In a later one it is the block's kind and the
-- block before it, which may turn its sense ("What others promise you:"). Words are compared byte by byte. No doubt is
-- resolved against the page: two such places in a later capture are not confirmed; a rejection also holds where these
-- words have moved and stand but once; and on a page that somebody found to be no promotion there is no claim.
SELECT claim_id, page_id, reviews.id AS review_id, reviews.reviewer, reviews.decided_at, CASE
    WHEN reviews.id IS NULL THEN iif(EXISTS (
        SELECT 1 FROM reviews AS other WHERE other.url = placed.url AND other.sha256 = placed.sha256
        AND other.voice <> 'promotion'), 'rejected', NULL)
    WHEN reviews.decision = 'rejected' OR reviews.voice <> 'promotion' THEN iif(
        reviews.kind = placed.kind AND reviews.context = placed.context OR reviews.sha256 = placed.sha256
        OR 1 = (SELECT count(*) FROM blocks WHERE blocks.page_id = placed.page_id AND blocks.text = placed.text),
        'rejected', NULL)
    WHEN reviews.sha256 = placed.sha256 THEN 'confirmed'
    WHEN reviews.kind = placed.kind AND reviews.context = placed.context AND 1 = (
        SELECT count(*) FROM blocks WHERE blocks.page_id = placed.page_id AND blocks.text = placed.text
        AND blocks.kind = placed.kind AND placed.context = coalesce((
            SELECT text FROM blocks AS before
            WHERE before.page_id = blocks.page_id AND before.position = blocks.position - 1), ''))
        THEN 'confirmed'
    END AS decision
FROM (
    SELECT claims.id AS claim_id, claims.label, pages.id AS page_id, pages.url, pages.sha256, blocks.position,
        blocks.kind, blocks.text, coalesce((
            SELECT text FROM blocks AS before
            WHERE before.page_id = blocks.page_id AND before.position = blocks.position - 1), '') AS context
    FROM claims JOIN blocks ON blocks.id = claims.block_id JOIN pages ON pages.id = claims.page_id
) AS placed LEFT JOIN reviews ON reviews.id = coalesce(
    (SELECT max(id) FROM reviews AS here WHERE here.url = placed.url AND here.label = placed.label
        AND here.text = placed.text AND here.kind = placed.kind AND here.context = placed.context
        AND (here.sha256 <> placed.sha256 OR here.position = placed.position)),
    (SELECT max(id) FROM reviews AS moved WHERE moved.url = placed.url AND moved.label = placed.label
        AND moved.text = placed.text AND (moved.sha256 <> placed.sha256 OR moved.position = placed.position)))
"""

BLOCK_HISTORY = """
-- Since when, until when exactly these words stood at an address, whatever was said of them.
SELECT pages.url, blocks.text, min(pages.fetched_at) AS first_seen_at, max(pages.last_seen_at) AS last_seen_at,
    max(pages.fetched_at) AS last_captured_at
FROM pages JOIN blocks ON blocks.page_id = pages.id GROUP BY pages.url, blocks.text
"""

GONE = """coalesce(addresses.last_checked_at, seen.last_seen_at) AS last_checked_at, coalesce(
    (SELECT min(fetched_at) FROM pages WHERE pages.url = seen.url AND fetched_at > seen.last_seen_at),
    addresses.gone_since) AS gone_since
"""

CLAIM_HISTORY = f"""
-- Since when, until when the words of a claim stood there: its whole block, so that a look-alike is another one. A page
-- that the classifier has not read, or reads otherwise today, takes no words away: the blocks say what stood there.
SELECT claim.url, claim.label, claim.quote, claim.block, seen.first_seen_at, seen.last_seen_at, seen.last_captured_at,
    {GONE}
FROM (
    SELECT DISTINCT pages.url, claims.label, claims.quote, blocks.text AS block
    FROM claims JOIN blocks ON blocks.id = claims.block_id JOIN pages ON pages.id = claims.page_id
) AS claim JOIN block_history AS seen ON seen.url = claim.url AND seen.text = claim.block
LEFT JOIN addresses ON addresses.url = seen.url
"""

OFFER_HISTORY = f"""
-- The same of offers, by their key.
SELECT seen.*, {GONE}
FROM (
    SELECT pages.url, offers.key, min(fetched_at) AS first_seen_at, max(pages.last_seen_at) AS last_seen_at,
        max(fetched_at) AS last_captured_at
    FROM offers JOIN pages ON pages.id = offers.page_id GROUP BY pages.url, offers.key
) AS seen LEFT JOIN addresses ON addresses.url = seen.url
"""

VIEWS = {
    "claim_decisions": CLAIM_DECISIONS,
    "block_history": BLOCK_HISTORY,
    "claim_history": CLAIM_HISTORY,
    "offer_history": OFFER_HISTORY,
}


def create_views(db: Database) -> None:
    """Make the views anew; to be called within a transaction, by the migration that changed one."""
    for name in reversed(VIEWS):
        db.execute(f"DROP VIEW IF EXISTS main.{name}")
    for name, query in VIEWS.items():
        db.execute(f"CREATE VIEW {name} AS {query}")

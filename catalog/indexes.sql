-- Made after the rows are in: faster, and the search tables take their row numbers as they stand.
CREATE INDEX claims_label ON claims (label, lang);
CREATE INDEX claims_vendor ON claims (vendor_id, label);
CREATE INDEX claims_page ON claims (page_id);
CREATE INDEX claims_block ON claims (block_id);
CREATE INDEX claims_fetched ON claims (fetched_at);
CREATE INDEX claims_source_kind ON claims (source_kind);
CREATE INDEX blocks_page ON blocks (page_id, position);
CREATE INDEX pages_vendor ON pages (vendor_id);
-- remove_diacritics 2: "évènement" and "evenement" are the same word (1 misses letters with several accents)
CREATE VIRTUAL TABLE claims_fts USING fts5(quote, content="claims", tokenize="unicode61 remove_diacritics 2");
CREATE VIRTUAL TABLE blocks_fts USING fts5(text, content="blocks", content_rowid="id", tokenize="unicode61 remove_diacritics 2");
CREATE VIRTUAL TABLE vendors_fts USING fts5(name, domain, content="vendors", tokenize="unicode61 remove_diacritics 2");
INSERT INTO claims_fts(claims_fts) VALUES ('rebuild');
INSERT INTO blocks_fts(blocks_fts) VALUES ('rebuild');
INSERT INTO vendors_fts(vendors_fts) VALUES ('rebuild');

"""Share links of one person; the full-text index of objects, and triggers that note which objects it is behind on."""

from peewee import BigAutoField, BigIntegerField, BlobField, DatabaseProxy, Model, SqliteDatabase

proxy = DatabaseProxy()


class Table(Model):
    class Meta:
        database = proxy
        legacy_table_names = False


class SearchChange(Table):
    id = BigAutoField()
    bucket_id = BigIntegerField()
    key = BlobField()


class SearchDocument(Table):
    id = BigAutoField()
    bucket_id = BigIntegerField()
    key = BlobField()

    class Meta:
        indexes = ((("bucket_id", "key"), True),)


NOTE = 'INSERT INTO "search_change" ("bucket_id", "key") VALUES ({row}."bucket_id", {row}."key");'
EVENTS = {"insert": ("INSERT", "NEW"), "update": ('UPDATE OF "seq", "tags"', "NEW"), "delete": ("DELETE", "OLD")}
SQLITE = 'CREATE VIRTUAL TABLE "search_words" USING fts5(words, detail=none, columnsize=0)'
POSTGRESQL = (
    'CREATE TABLE "search_words" ("id" BIGINT PRIMARY KEY, "words" TSVECTOR NOT NULL)',
    'CREATE INDEX "search_words_words" ON "search_words" USING GIN ("words")',
)


def add_index(db):
    """Create what no model describes: the words, and the triggers on the table of objects."""
    sqlite = isinstance(db, SqliteDatabase)
    for statement in (SQLITE,) if sqlite else POSTGRESQL:
        db.execute_sql(statement)
    for name, (event, row) in EVENTS.items():
        note = NOTE.format(row=row)
        if sqlite:
            db.execute_sql(f'CREATE TRIGGER "search_{name}" AFTER {event} ON "object" BEGIN {note} END')
            continue
        body = f"BEGIN {note} RETURN NULL; END"
        db.execute_sql(f'CREATE OR REPLACE FUNCTION "search_{name}"() RETURNS trigger LANGUAGE plpgsql AS $body${body}$body$')
        db.execute_sql(f'CREATE TRIGGER "search_{name}" AFTER {event} ON "object" FOR EACH ROW EXECUTE FUNCTION "search_{name}"()')


def up(migrator, db):
    """Add the tables, and note all objects there are: the index comes to them later."""
    proxy.initialize(db)
    db.execute_sql('CREATE INDEX "share_created_by" ON "share" ("created_by")')
    db.create_tables((SearchChange, SearchDocument))
    add_index(db)
    db.execute_sql('INSERT INTO "search_change" ("bucket_id", "key") SELECT "bucket_id", "key" FROM "object"')

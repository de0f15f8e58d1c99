-- The ledger: what is to be done, what was published, which objects belong to it.

create function eolake.clock() returns timestamptz
language sql volatile parallel safe
set search_path = pg_catalog
as $$ select clock_timestamp() + coalesce(nullif(current_setting('eolake.clock_offset', true), '')::interval, interval '0') $$;

comment on function eolake.clock() is
    'The time of the lake: the only clock that SQL reads. A session (a test) may shift it: set eolake.clock_offset = ''1 day''.';

-- Leases and revisions share one sequence: a later lease always has the greater revision.
create sequence eolake.fence;

create table eolake.granule (
    granule_id   bigint generated always as identity primary key,
    provider     text not null,
    id           text not null,
    name         text not null,
    source       text not null,
    size         bigint,
    fingerprint  text not null,
    collection   text,
    scene_key    text,
    rank         jsonb not null default '[]',
    state        text not null check (state in ('queued', 'fetching', 'fetched', 'converting', 'published',
                                                'superseded', 'withdrawn', 'rejected', 'quarantined')),
    reason       text,
    step         text,
    attempts     integer not null default 0,
    faults       integer not null default 0,
    next_try     timestamptz not null default eolake.clock(),
    lease_owner  text,
    fence        bigint,
    offered_at   timestamptz not null default eolake.clock(),
    changed_at   timestamptz not null default eolake.clock(),
    unique (provider, id)
);

comment on table eolake.granule is 'One remote product of a provider. This table IS the queue.';
comment on column eolake.granule.id is 'Identity within the provider; a path for products on disk';
comment on column eolake.granule.name is 'Product name without extension';
comment on column eolake.granule.fingerprint is 'Changes when the provider''s bytes change; then the granule is queued again';
comment on column eolake.granule.faults is 'Attempts that ended in an unknown error or with a vanished worker; a few of them quarantine the granule';
comment on column eolake.granule.next_try is 'When somebody may claim it: the next try, or, while leased, the end of the lease';
comment on column eolake.granule.fence is 'Fencing number of the newest lease; also the revision of what is published under it';

create index granule_due on eolake.granule (next_try, granule_id) where state in ('queued', 'fetching', 'fetched', 'converting');
create index granule_state on eolake.granule (state, collection);
create index granule_name on eolake.granule (name);
create index granule_fence on eolake.granule (fence) where state in ('fetching', 'converting');

create table eolake.run (
    run_id       bigint generated always as identity primary key,
    analysis     text not null,
    parameters   jsonb not null,
    code_version text not null,
    state        text not null check (state in ('running', 'done', 'failed')),
    lease_owner  text,
    lease_until  timestamptz not null,
    fence        bigint not null unique,
    planned      integer not null default 0,
    done         integer not null default 0,
    failed       integer not null default 0,
    reason       text,
    started_at   timestamptz not null default eolake.clock(),
    ended_at     timestamptz
);

comment on table eolake.run is 'One execution of an analysis; its fence is the revision of everything it publishes.';

create table eolake.publication (
    publication_id bigint generated always as identity primary key,
    collection   text not null,
    item_id      text not null,
    dataset_id   uuid not null unique,
    revision     bigint not null,
    state        text not null check (state in ('live', 'superseded', 'grace', 'purged')),
    granule_id   bigint references eolake.granule,
    run_id       bigint references eolake.run,
    scene_key    text,
    rank         jsonb not null default '[]',
    prefix       text not null,
    digest       text not null,
    west         double precision not null,
    south        double precision not null,
    east         double precision not null,
    north        double precision not null,
    start_at     timestamptz not null,
    end_at       timestamptz not null,
    bytes        bigint not null,
    expires_at   timestamptz,
    tombstone    jsonb,
    published_at timestamptz not null default eolake.clock(),
    changed_at   timestamptz not null default eolake.clock(),
    unique (collection, item_id),
    check (num_nonnulls(granule_id, run_id) = 1)
);

comment on table eolake.publication is 'One row per item ever published, source or derived.';
comment on column eolake.publication.digest is 'Over the pixel digests of all bands: what the scene says, whatever wrote its bytes';
comment on column eolake.publication.west is 'bbox as in the item: west > east crosses the antimeridian';

create index publication_collection on eolake.publication (collection, state, start_at);
create index publication_granule on eolake.publication (granule_id);
create index publication_run on eolake.publication (run_id);
create index publication_scene on eolake.publication (collection, scene_key);

create table eolake.object (
    key            text primary key,
    publication_id bigint not null references eolake.publication,
    asset          text not null,
    bytes          bigint not null,
    checksum       text not null,
    pixel_digest   text
);

comment on table eolake.object is 'Every object that a publication owns; item.json has the asset name ''item''.';
comment on column eolake.object.checksum is 'Multihash, sha2-256, hexadecimal';

create index object_publication on eolake.object (publication_id);

create table eolake.debris (
    prefix text primary key,
    fence  bigint not null,
    due    timestamptz not null default eolake.clock()
);

comment on table eolake.debris is
    'Prefixes in the store that no publication owns: being written under a lease (fence), or replaced. '
    'One whose fence is not leased any more can never be published; the sweeper deletes it once it is due.';

create table eolake.lineage (
    publication_id    bigint not null references eolake.publication,
    source_collection text not null,
    source_item_id    text not null,
    source_revision   bigint,
    primary key (publication_id, source_collection, source_item_id)
);

comment on table eolake.lineage is 'What a derived publication was made of, and which revision of it.';

create index lineage_source on eolake.lineage (source_collection, source_item_id);

create table eolake.event (
    event_id       bigint generated always as identity primary key,
    at             timestamptz not null default eolake.clock(),
    kind           text not null,
    granule_id     bigint,
    publication_id bigint,
    run_id         bigint,
    detail         jsonb not null default '{}'
);

comment on table eolake.event is 'What happened, in order; written in the transaction in which it happened.';

create index event_granule on eolake.event (granule_id, event_id);

create table eolake.place (
    one       boolean primary key default true check (one),
    store_url text not null
);

comment on table eolake.place is 'Where the objects were when their URIs were written; differs from the settings after the lake moved.';

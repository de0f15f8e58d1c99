-- Discover and fetch: what providers say of a granule, the files it consists of, and who may use which connection when.

alter table eolake.granule
    add column feed        text,
    add column priority    smallint not null default 1,
    add column transfer    text not null default 'copy' check (transfer in ('copy', 'reference')),
    add column published   timestamptz,
    add column modified    timestamptz,
    add column start_at    timestamptz,
    add column end_at      timestamptz,
    add column footprint   jsonb,
    add column cloud_cover double precision,
    add column detail      jsonb not null default '{}',
    add column fault       text,
    add column waits_for   text,
    add column fetched_at  timestamptz,
    add column fetched_on  text,
    add column superseded_by text;

comment on column eolake.granule.feed is 'The feed (or command) that wanted it first';
comment on column eolake.granule.priority is '0: near real time, before all others of its provider; 1: the rest';
comment on column eolake.granule.published is 'When the provider published it; discovery walks along this time';
comment on column eolake.granule.footprint is 'GeoJSON geometry, valid, EPSG:4326';
comment on column eolake.granule.detail is 'What its provider needs to find its bytes again: digests, hrefs, ids; never a secret';
comment on column eolake.granule.fault is 'Class of the last failure: transient, rate, auth, offline, quota, gone, corrupt, config';
comment on column eolake.granule.waits_for is 'Why it waits although it is due: offline, quota; else null';
comment on column eolake.granule.fetched_on is 'The machine that still has its bytes on a local disk';
comment on column eolake.granule.superseded_by is 'Name of the granule that took its place';

create index granule_fetch on eolake.granule (provider, priority, next_try, granule_id) where state in ('queued', 'fetching');
create index granule_scene on eolake.granule (scene_key) where scene_key is not null;
create index granule_published on eolake.granule (provider, published);

create table eolake.provider (
    provider  text primary key,
    served_at timestamptz not null default '-infinity'
);

comment on table eolake.provider is 'Who was served when: lanes take turns.';

create table eolake.credential (
    credential_id  bigint generated always as identity primary key,
    provider       text not null references eolake.provider,
    name           text not null,
    connections    integer not null check (connections > 0),
    allowed        integer not null check (allowed > 0),
    adapted_at     timestamptz not null default eolake.clock(),
    cooldown_until timestamptz not null default '-infinity',
    disabled       text,
    budget         bigint,
    release_lag    interval not null default interval '0',
    retired        boolean not null default false,
    unique (provider, name)
);

comment on table eolake.credential is 'An account of a provider: a reference to its secret, never the secret.';
comment on column eolake.credential.allowed is 'Connections in use at most right now: halved by 429, one more after ten clean minutes';
comment on column eolake.credential.budget is 'Bytes in 30 days; null: no limit';
comment on column eolake.credential.release_lag is 'For so long the provider may count a connection that was closed';
comment on column eolake.credential.retired is 'Not in the settings any more';

create table eolake.slot (
    credential_id  bigint not null references eolake.credential on delete cascade,
    n              integer not null,
    owner          text,
    granule_id     bigint,
    fence          bigint,
    bytes          bigint not null default 0,
    began_at       timestamptz,
    leased_until   timestamptz not null default '-infinity',
    cooldown_until timestamptz not null default '-infinity',
    primary key (credential_id, n)
);

comment on table eolake.slot is 'One TCP connection of one account: a leased row. Free when both times are past.';
comment on column eolake.slot.fence is 'Of the lease on the granule that it is used for';
comment on column eolake.slot.bytes is 'Received for that granule since began_at';
comment on column eolake.slot.cooldown_until is 'The provider may count a closed connection for a while longer';

create index slot_owner on eolake.slot (owner) where owner is not null;

create table eolake.traffic (
    credential_id bigint not null references eolake.credential on delete cascade,
    hour          timestamptz not null,
    bytes         bigint not null,
    primary key (credential_id, hour)
);

comment on table eolake.traffic is 'Bytes received, for budgets of 30 days.';

create table eolake.host (
    provider   text not null,
    host       text not null,
    since      timestamptz not null default eolake.clock(),
    good       integer not null default 0,
    bad        integer not null default 0,
    trips      integer not null default 0,
    open_until timestamptz not null default '-infinity',
    primary key (provider, host)
);

comment on table eolake.host is 'Circuit breaker: too many failures in a minute close a host for a while, for all workers.';

create table eolake.file (
    file_id       bigint generated always as identity primary key,
    granule_id    bigint not null references eolake.granule on delete cascade,
    name          text not null,
    size          bigint,
    digests       jsonb not null default '{}',
    etag          text,
    last_modified text,
    key           text,
    sha256        text,
    bytes         bigint,
    warnings      jsonb not null default '[]',
    fetched_at    timestamptz,
    unique (granule_id, name)
);

comment on table eolake.file is 'The files of a granule; one with a key lies verified in the store.';
comment on column eolake.file.name is 'Relative name within the product';
comment on column eolake.file.key is 'Below raw/ in the store';

create table eolake.cursor (
    feed     text primary key,
    position timestamptz,
    moved_at timestamptz not null default eolake.clock(),
    resume   timestamptz,
    counted  jsonb
);

comment on table eolake.cursor is 'Up to which publication time a feed has seen everything; moved in the transaction that registers what was found.';
comment on column eolake.cursor.resume is 'How far the pass that is under way has come; null: the last one was completed';
comment on column eolake.cursor.counted is 'What that pass has counted of the day at which it stands';

create table eolake.day (
    feed       text not null,
    provider   text not null,
    day        date not null,
    available  integer not null,
    wanted     integer not null,
    counted_at timestamptz not null default eolake.clock(),
    primary key (feed, day)
);

comment on table eolake.day is 'Products by day of publication: what the provider has, and how many of them the filters of the feed let through.';

create table eolake.alarm (
    alarm_id   bigint generated always as identity primary key,
    provider   text not null,
    kind       text not null,
    text       text not null,
    raised_at  timestamptz not null default eolake.clock(),
    seen_at    timestamptz not null default eolake.clock(),
    times      integer not null default 1,
    cleared_at timestamptz
);

comment on table eolake.alarm is 'Something that a person must look at; one row as long as it lasts.';

create unique index alarm_open on eolake.alarm (provider, kind) where cleared_at is null;

create function eolake.spent(_credential_id bigint) returns bigint
language sql stable
set search_path = pg_catalog
as $$ select coalesce(sum(bytes), 0)::bigint from eolake.traffic
      where credential_id = _credential_id and hour > eolake.clock() - interval '30 days' $$;

comment on function eolake.spent is 'Bytes that a credential received in the last 30 days';

create function eolake.claim_transfer(
    _owner text, _lease interval, _providers text[], _only bigint[], _credential_id bigint, _n integer, _bulk_first boolean)
returns table (granule_id bigint, credential_id bigint, n integer)
language plpgsql
set search_path = pg_catalog
as $$
declare
    _now timestamptz := eolake.clock();
    _account record;
    _granule bigint;
    _slot integer;
    _fence bigint;
begin
    for _account in  -- the least busy provider first, then the one that was not served for longest
        select c.credential_id, c.provider from eolake.credential c
        join eolake.provider p using (provider)
        left join lateral (
            select count(*) as taken from eolake.slot s
            where s.credential_id = c.credential_id and greatest(s.leased_until, s.cooldown_until) > _now
              and not (s.credential_id is not distinct from _credential_id and s.n = _n and s.owner = _owner)) t on true
        where c.provider = any(_providers) and c.disabled is null and not c.retired and c.cooldown_until <= _now and t.taken < c.allowed
          and (_credential_id is null or c.credential_id = _credential_id)
          and (c.budget is null or eolake.spent(c.credential_id) < c.budget)
          and not exists (select from eolake.host h where h.provider = c.provider and h.open_until > _now)
        order by t.taken::float / c.allowed, p.served_at, c.credential_id
    loop
        perform from eolake.credential c where c.credential_id = _account.credential_id for update;  -- one claim at a time per account
        perform from eolake.slot s, eolake.credential c
        where c.credential_id = _account.credential_id and s.credential_id = c.credential_id
          and greatest(s.leased_until, s.cooldown_until) > _now
          and not (s.credential_id is not distinct from _credential_id and s.n = _n and s.owner = _owner)
        group by c.credential_id having count(*) >= c.allowed;
        continue when found;

        select s.n into _slot from eolake.slot s
        where s.credential_id = _account.credential_id
          and case when _credential_id is null then greatest(s.leased_until, s.cooldown_until) <= _now else s.n = _n and s.owner = _owner end
        order by s.n limit 1 for update skip locked;
        continue when not found;

        _granule := null;
        for _priority in 0 .. 1 loop
            select g.granule_id into _granule from eolake.granule g
            where g.provider = _account.provider and g.state in ('queued', 'fetching') and g.next_try <= _now
              and g.priority = case when _bulk_first then 1 - _priority else _priority end
              and (_only is null or g.granule_id = any(_only))
            order by g.next_try, g.granule_id limit 1 for update skip locked;
            exit when found;
        end loop;
        continue when _granule is null;

        update eolake.host h set open_until = _now + interval '30 seconds'  -- a host that was closed: this claim is the trial
        where h.provider = _account.provider and h.trips > 0;
        _fence := nextval('eolake.fence');
        update eolake.granule g
        set state = 'fetching', lease_owner = _owner, fence = _fence, attempts = g.attempts + 1,
            faults = g.faults + (g.state = 'fetching')::integer, next_try = _now + _lease, waits_for = null, changed_at = _now
        where g.granule_id = _granule;
        update eolake.slot s
        set owner = _owner, granule_id = _granule, fence = _fence, bytes = 0, began_at = _now, leased_until = _now + _lease
        where s.credential_id = _account.credential_id and s.n = _slot;
        update eolake.provider p set served_at = _now where p.provider = _account.provider;
        return query select _granule, _account.credential_id, _slot;
        return;
    end loop;
end $$;

comment on function eolake.claim_transfer is
    'Lease a due granule and a free connection of an account of its provider, both or neither. With a slot: only for that slot, which the owner holds.';

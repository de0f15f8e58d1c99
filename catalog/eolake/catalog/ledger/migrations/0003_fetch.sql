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
    add column failing_since timestamptz,
    add column corrupt     integer not null default 0,
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
comment on column eolake.granule.failing_since is 'When the first failure since it was queued was; its age decides when one is the last';
comment on column eolake.granule.corrupt is 'How often other bytes came than its provider promised';
comment on column eolake.granule.fetched_on is 'The machine that still has its bytes on a local disk';
comment on column eolake.granule.superseded_by is 'Name of the granule that took its place';

create index granule_fetch on eolake.granule (provider, priority, next_try, granule_id) include (state, offered_at)
    where state in ('queued', 'fetching');
create index granule_failing on eolake.granule (provider, fault, changed_at desc) where fault is not null and state in ('queued', 'fetching', 'quarantined');
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
    rates          integer not null default 0,
    disabled       text,
    budget         bigint,
    release_lag    interval not null default interval '0',
    retired        boolean not null default false,
    unique (provider, name)
);

comment on table eolake.credential is 'An account of a provider: a reference to its secret, never the secret.';
comment on column eolake.credential.allowed is 'Connections in use at most right now: halved by 429, one more after ten clean minutes';
comment on column eolake.credential.rates is 'How often in a row its provider said that it asks too much: each rest is twice as long';
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
    rate           double precision not null default 0,
    began_at       timestamptz,
    seen_at        timestamptz,
    leased_until   timestamptz not null default '-infinity',
    cooldown_until timestamptz not null default '-infinity',
    primary key (credential_id, n)
);

comment on table eolake.slot is 'One TCP connection of one account: a leased row. Free when both times are past.';
comment on column eolake.slot.fence is 'Of the lease on the granule that it is used for';
comment on column eolake.slot.bytes is 'Received for that granule since began_at';
comment on column eolake.slot.rate is 'Bytes a second, as it was last measured (seen_at)';
comment on column eolake.slot.cooldown_until is 'The provider may count a closed connection for a while longer';

create index slot_owner on eolake.slot (owner) where owner is not null;
create index slot_fence on eolake.slot (fence) where fence is not null;

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
    trial      bigint,
    primary key (provider, host)
);

comment on table eolake.host is 'Circuit breaker: after too many failures in a minute nobody asks a host for a while; then one trial decides.';
comment on column eolake.host.trips is 'How often in a row it broke; 0: all is well';
comment on column eolake.host.trial is 'Fence of the one transfer that is let through to see whether the host is well again';

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

create index file_key on eolake.file (key) where key is not null;

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
      where credential_id = _credential_id and hour > eolake.clock() - interval '30 days 1 hour' $$;

comment on function eolake.spent is 'Bytes that a credential received in the last 30 days';

create function eolake.taken(_credential_id bigint, _but_n integer default null) returns integer
language sql stable
set search_path = pg_catalog
as $$ select count(*)::integer from eolake.slot s join eolake.credential c using (credential_id)
      where s.credential_id = _credential_id and s.n is distinct from _but_n
        and greatest(s.leased_until + c.release_lag, s.cooldown_until) > eolake.clock() $$;

comment on function eolake.taken is
    'Connections of a credential that its provider may count: leased ones, and closed ones for the release lag. A lease that ran out is '
    'a connection that was closed then, at the latest.';

create function eolake.broken(_provider text) returns boolean
language sql stable
set search_path = pg_catalog
as $$ select exists (select from eolake.host h where h.provider = _provider and h.trips > 0
      and (h.open_until > eolake.clock()
           or exists (select from eolake.slot s where s.fence = h.trial and s.leased_until > eolake.clock()))) $$;

comment on function eolake.broken is 'Whether nobody may ask a provider now: one of its hosts broke, and its rest is not over or a trial is under way';

create function eolake.claim_transfer(
    _owner text, _lease interval, _providers text[], _only bigint[], _credential_id bigint, _n integer, _fence bigint, _bulk_first boolean)
returns table (granule eolake.granule, credential text, credential_id bigint, n integer)
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
    _now timestamptz := eolake.clock();
    _account record;
    _granule eolake.granule;
    _slot integer;
    _new bigint;
    _waiting boolean;
    _locked boolean := false;
    _missed boolean := false;
begin
    foreach _waiting in array array[false, true] loop
        exit when _waiting and (_locked or not _missed);
        for _account in  -- the least busy account first, then that of the provider that was not served for longest
            select c.credential_id as id, c.name, c.provider, c.allowed, c.budget, c.release_lag from eolake.credential c
            join eolake.provider p on p.provider = c.provider
            left join (
                select s.credential_id, count(*) as taken from eolake.slot s join eolake.credential o on o.credential_id = s.credential_id
                where (s.credential_id <> _credential_id or s.n <> _n or _n is null)
                  and (s.leased_until > _now - o.release_lag or s.cooldown_until > _now)
                group by s.credential_id
            ) t on t.credential_id = c.credential_id
            where c.provider = any(_providers) and c.disabled is null and not c.retired and c.cooldown_until <= _now
              and coalesce(t.taken, 0) < c.allowed
              and (_credential_id is null or c.credential_id = _credential_id)
              and exists (select from eolake.granule g where g.provider = c.provider and g.state in ('queued', 'fetching') and g.priority in (0, 1)
                          and g.next_try <= _now)
            order by coalesce(t.taken, 0)::float / c.allowed, p.served_at, c.credential_id
        loop
            -- One claim at a time per provider: another one first, and only when there is none wait for it. Who holds such a lock waits
            -- for no other: no deadlock.
            if _waiting and not _locked then
                perform from eolake.provider p where p.provider = _account.provider for no key update;
            else
                perform from eolake.provider p where p.provider = _account.provider for no key update skip locked;
                if not found then
                    _missed := true;
                    continue;
                end if;
            end if;
            _locked := true;
            -- What was read before the lock may be over.
            continue when eolake.broken(_account.provider)
                or eolake.taken(_account.id, case when _account.id = _credential_id then _n end) >= _account.allowed;

            if _credential_id is null then
                select s.n into _slot from eolake.slot s
                where s.credential_id = _account.id and s.leased_until <= eolake.clock() - _account.release_lag and s.cooldown_until <= eolake.clock()
                order by s.n limit 1 for update skip locked;
            else
                select s.n into _slot from eolake.slot s
                where s.credential_id = _account.id and s.n = _n and s.owner = _owner and s.fence = _fence and s.leased_until > _now
                for update skip locked;
            end if;
            continue when not found;

            _granule := null;
            if _only is not null then
                select g.* into _granule from eolake.granule g
                where g.granule_id = any(_only) and g.provider = _account.provider and g.state in ('queued', 'fetching') and g.next_try <= _now
                order by g.priority, g.next_try, g.granule_id limit 1 for update skip locked;
            else
                for _turn in 0 .. 1 loop
                    select g.* into _granule from eolake.granule g
                    where g.provider = _account.provider and g.state in ('queued', 'fetching')
                      and g.priority = case when _bulk_first then 1 - _turn else _turn end and g.next_try <= _now
                    order by g.next_try, g.granule_id limit 1 for update skip locked;
                    exit when found;
                end loop;
            end if;
            continue when _granule.granule_id is null;
            -- What is under way is in the budget already, with its whole size.
            continue when _account.budget is not null and _account.budget < eolake.spent(_account.id) + greatest(1, coalesce(_granule.size, 0)) + (
                select coalesce(sum(greatest(o.size - s.bytes, 0)), 0) from eolake.slot s join eolake.granule o on o.granule_id = s.granule_id
                where s.credential_id = _account.id and s.leased_until > _now and o.fence = s.fence and o.state = 'fetching');

            _new := nextval('eolake.fence');
            update eolake.host h set trial = _new where h.provider = _account.provider and h.trips > 0;
            update eolake.granule g
            set state = 'fetching', lease_owner = _owner, fence = _new, attempts = g.attempts + 1,
                faults = g.faults + (g.state = 'fetching')::integer, next_try = eolake.clock() + _lease, waits_for = null, changed_at = eolake.clock()
            where g.granule_id = _granule.granule_id
            returning g.* into _granule;
            update eolake.slot s
            set owner = _owner, granule_id = _granule.granule_id, fence = _new, bytes = 0, began_at = eolake.clock(), seen_at = eolake.clock(),
                leased_until = eolake.clock() + _lease
            where s.credential_id = _account.id and s.n = _slot;
            update eolake.provider p set served_at = eolake.clock() where p.provider = _account.provider;
            return query select _granule, _account.name, _account.id, _slot;
            return;
        end loop;
    end loop;
end $$;

comment on function eolake.claim_transfer is
    'Lease a due granule and a free connection of an account of its provider, both or neither. With a slot and its fence: only for that '
    'slot, which the owner holds.';

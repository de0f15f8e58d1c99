-- Push: notifications that say too little of a product to judge it wait here until the catalogue was asked.

create table eolake.notified (
    provider    text not null,
    id          text not null,
    scope       text not null,
    why         text not null,
    received_at timestamptz not null default eolake.clock(),
    tries       integer not null default 0,
    primary key (provider, id)
);

comment on table eolake.notified is 'Products that a provider told of without saying what they are; `eolake daily` and `eolake push read` ask for them by id.';
comment on column eolake.notified.scope is 'The feed, or the provider with all its feeds, for which the notification came';
comment on column eolake.notified.tries is 'How often the catalogue did not know the product';

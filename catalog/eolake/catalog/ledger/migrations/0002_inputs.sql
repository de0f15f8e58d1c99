alter table eolake.publication add column inputs text;

comment on column eolake.publication.inputs is
    'Of a derived item: hash of its inputs with their digests, the parameters and the version of the code; another hash means it is stale.';

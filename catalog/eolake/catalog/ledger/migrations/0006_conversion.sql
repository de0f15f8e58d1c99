-- Conversion: what whoever wanted a product says about how it is converted.

alter table eolake.granule add column options jsonb;

comment on column eolake.granule.options is 'Options of the conversion that differ from the defaults: clip (GeoJSON), grid, resampling, checked; NULL when none does';

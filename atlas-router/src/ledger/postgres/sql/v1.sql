CREATE TABLE atlas_router_limit (
  scope text COLLATE "C" NOT NULL PRIMARY KEY,
  amount int8 NOT NULL
);
-- A balance changes with every call: there is room on each page for its next version.
CREATE TABLE atlas_router_balance (
  scope text COLLATE "C" NOT NULL,
  month int4 NOT NULL,
  held int8 NOT NULL CHECK (held >= 0),
  settled int8 NOT NULL CHECK (settled >= 0),
  alerted int2 NOT NULL,
  PRIMARY KEY (scope, month)
) WITH (fillfactor = 50);
CREATE TABLE atlas_router_hold (
  id bytea NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  month int4 NOT NULL,
  scopes text NOT NULL,
  amount int8 NOT NULL,
  state int8 NOT NULL,
  cost int8 NOT NULL,
  created_at int8 NOT NULL,
  expires_at int8 NOT NULL,
  model text COLLATE "C" NOT NULL,
  strategy text COLLATE "C",
  correlation_id text COLLATE "C"
);
CREATE INDEX atlas_router_hold_unsent ON atlas_router_hold (expires_at, id) WHERE state = 0;
CREATE INDEX atlas_router_hold_sent ON atlas_router_hold (expires_at, id) WHERE state = 1;
CREATE INDEX atlas_router_hold_month ON atlas_router_hold (month);

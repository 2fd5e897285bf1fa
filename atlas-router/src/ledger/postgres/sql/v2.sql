-- What a purge looks for, without what is open.
CREATE INDEX atlas_router_hold_ended ON atlas_router_hold (month) WHERE state IN (2, 3);

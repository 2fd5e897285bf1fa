pub(crate) mod clock;

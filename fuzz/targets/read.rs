//! Any bytes, read as each record: faults, or a record whose canonical bytes read back as themselves. Never a panic.
#![no_main]

use atlas_schema::read::{self, Record};
use atlas_schema::{Alert, AuditEvent, Evidence, ExtractionJob, ExtractionRequest, ExtractionResult, JobRecord};
use libfuzzer_sys::fuzz_target;

fn read_as<T: Record + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    match read::from_slice::<T>(bytes) {
        Ok(record) => {
            let canonical = read::to_canonical_vec(&record).expect("what was read can be written");
            let again = read::from_slice::<T>(&canonical).expect("what was written can be read");
            assert_eq!(again, record);
            assert_eq!(read::to_canonical_vec(&again).as_ref(), Ok(&canonical));
        }
        Err(faults) => assert!(faults.total() > 0 && !faults.to_string().is_empty()),
    }
}

fuzz_target!(|bytes: &[u8]| {
    read_as::<ExtractionJob>(bytes);
    read_as::<ExtractionRequest>(bytes);
    read_as::<ExtractionResult>(bytes);
    read_as::<Evidence>(bytes);
    read_as::<Alert>(bytes);
    read_as::<AuditEvent>(bytes);
    read_as::<JobRecord>(bytes);
});

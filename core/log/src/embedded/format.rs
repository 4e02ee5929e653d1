//! The file `format`: what cannot change after a log was created.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::embedded::failure::Failure;

const FORMAT: &str = "format";
const FORMAT_LINE: &str = "fastn-log 1";

/// Verifies the layout version and the partition count, or writes them into a new directory.
pub(crate) fn check(dir: &Path, partitions: u32) -> Result<(), Failure> {
    let path = dir.join(FORMAT);
    let expected = format!("{FORMAT_LINE}\npartitions {partitions}\n");
    match std::fs::read_to_string(&path) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) if !found.starts_with(FORMAT_LINE) => {
            Err(Failure::corrupt(format!("{} names a format that this version does not know", path.display())))
        }
        Ok(found) => {
            let count =
                found.lines().find_map(|line| line.strip_prefix("partitions ")).unwrap_or("an unknown number of");
            let message = format!("it was made with {count} partitions, not {partitions}; open it with that number");
            Err(Failure { message, ..Failure::corrupt(String::new()) })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let next = dir.join("format.new");
            let mut file = File::create(&next)?;
            file.write_all(expected.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&next, &path)?;
            File::open(dir)?.sync_all()?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

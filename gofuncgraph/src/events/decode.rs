use gofuncgraph_common::{
    AlreadyOpenRecord, ChainedEntryRecord, CloseCause, CloseRecord, EntryRecord, OPEN_FRAMES,
    ProcessRecord, ReasonKind, ReasonRecord, RecordHeader, RecordKind, ReturnRecord, SampleRecord,
    WALKED_FRAMES, WalkedFrame, record_flags,
};

/// A record of the ring, with its kind's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A call begins.
    Entry(EntryRecord),
    /// A call begins that returns to where its caller returns at once.
    ChainedEntry(ChainedEntryRecord),
    /// A call ends at a RET.
    Return(ReturnRecord),
    /// An observer was passed.
    Observed(ReturnRecord),
    /// A call outside of any tree, one of many.
    Sample(SampleRecord),
    /// An observer was reached and had nothing to tell, one of many such hits.
    IdleSample(SampleRecord),
    /// A call of a promoted function of whose end nothing will tell.
    Missed(SampleRecord),
    /// Frames end together.
    Close(CloseRecord, CloseCause),
    /// Why frames or a process will end.
    Reason(ReasonRecord, ReasonKind),
    /// Calls were open when tracing began.
    AlreadyOpen(Box<AlreadyOpenRecord>),
    /// A process is gone.
    ProcessExit(ProcessRecord),
    /// A process runs another program image.
    ProcessExec(ProcessRecord),
}

/// Why bytes are no record that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A newer kernel side may write kinds that this version does not know; they are skipped.
    #[error("record of unknown kind {0}")]
    UnknownKind(u16),
    /// The bytes end before the record does, or a field has no meaning.
    #[error("malformed record of kind {kind} with {available} bytes")]
    Malformed {
        /// As far as it could be read.
        kind: u16,
        /// Bytes there are.
        available: usize,
    },
}

/// Reads the fields of a record one after the other, in the byte order of the machine.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*field)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    fn header(&mut self) -> Option<RecordHeader> {
        Some(RecordHeader {
            kind: self.u16()?,
            size: self.u16()?,
            tgid: self.u32()?,
            sequence: self.u64()?,
            goid: self.u64()?,
            time_ns: self.u64()?,
        })
    }
}

impl Fields<'_> {
    fn entry_record(&mut self, header: RecordHeader) -> Option<EntryRecord> {
        Some(EntryRecord {
            header,
            depth_bytes: self.u64()?,
            return_address: self.u64()?,
            instruction_pointer: self.u64()?,
            site: self.u32()?,
            tree: self.u16()?,
            flags: self.u16()?,
        })
    }

    fn sample_record(&mut self, header: RecordHeader) -> Option<SampleRecord> {
        Some(SampleRecord {
            header,
            return_address: self.u64()?,
            instruction_pointer: self.u64()?,
            site: self.u32()?,
            padding: self.u32()?,
            end: self.u64()?,
        })
    }

    fn reason_record(&mut self, header: RecordHeader) -> Option<ReasonRecord> {
        let mut record = ReasonRecord {
            header,
            instruction_pointer: self.u64()?,
            site: self.u32()?,
            reason: self.u32()?,
            exit_code: self.i32()?,
            tree: self.u16()?,
            padding: self.u16()?,
            frames: [WalkedFrame::default(); WALKED_FRAMES],
        };
        for frame in &mut record.frames {
            *frame = self.walked_frame()?;
        }
        Some(record)
    }

    fn already_open_record(&mut self, header: RecordHeader) -> Option<AlreadyOpenRecord> {
        let mut record = AlreadyOpenRecord {
            header,
            instruction_pointer: self.u64()?,
            root_depth_bytes: self.u64()?,
            site: self.u32()?,
            tree: self.u16()?,
            padding: self.u16()?,
            frames: [WalkedFrame::default(); OPEN_FRAMES],
        };
        for frame in &mut record.frames {
            *frame = self.walked_frame()?;
        }
        Some(record)
    }

    fn walked_frame(&mut self) -> Option<WalkedFrame> {
        Some(WalkedFrame {
            return_address: self.u64()?,
            depth_bytes: self.u64()?,
        })
    }

    fn process_record(&mut self, header: RecordHeader) -> Option<ProcessRecord> {
        Some(ProcessRecord {
            header,
            exit_status: self.u32()?,
            has_exit_status: self.u32()?,
        })
    }

    fn return_record(&mut self, header: RecordHeader) -> Option<ReturnRecord> {
        Some(ReturnRecord {
            header,
            depth_bytes: self.u64()?,
            site: self.u32()?,
            tree: self.u16()?,
            flags: self.u16()?,
        })
    }
}

impl Record {
    /// Reads the record that `bytes` begin with. Its own size counts: a longer record of a known
    /// kind has fields that this version does not know, and is read as far as it is known.
    ///
    /// # Errors
    /// [`RecordError`] for what should be skipped and counted.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut fields = Fields { rest: bytes };
        let malformed = |kind| RecordError::Malformed {
            kind,
            available: bytes.len(),
        };
        let header = fields.header().ok_or(malformed(0))?;
        if usize::from(header.size) > bytes.len() {
            return Err(malformed(header.kind));
        }
        let kind =
            RecordKind::from_u16(header.kind).ok_or(RecordError::UnknownKind(header.kind))?;
        let body = usize::from(header.size).saturating_sub(size_of::<RecordHeader>());
        let mut fields = Fields {
            rest: fields.rest.get(..body).ok_or(malformed(header.kind))?,
        };
        Self::decode_body(header, kind, &mut fields).ok_or(malformed(header.kind))
    }

    fn decode_body(
        header: RecordHeader,
        kind: RecordKind,
        fields: &mut Fields<'_>,
    ) -> Option<Self> {
        Some(match kind {
            RecordKind::Entry => {
                let entry = fields.entry_record(header)?;
                if entry.flags & record_flags::CHAINED == 0 {
                    Self::Entry(entry)
                } else {
                    let end = fields.u64()?;
                    Self::ChainedEntry(ChainedEntryRecord { entry, end })
                }
            }
            RecordKind::Return => Self::Return(fields.return_record(header)?),
            RecordKind::Observed => Self::Observed(fields.return_record(header)?),
            RecordKind::Sample => Self::Sample(fields.sample_record(header)?),
            RecordKind::IdleSample => Self::IdleSample(fields.sample_record(header)?),
            RecordKind::Missed => Self::Missed(fields.sample_record(header)?),
            RecordKind::Close => {
                let record = CloseRecord {
                    header,
                    depth_bytes: fields.u64()?,
                    cause: fields.u32()?,
                    tree: fields.u16()?,
                    flags: fields.u16()?,
                };
                Self::Close(record, CloseCause::from_u32(record.cause)?)
            }
            RecordKind::Reason => {
                let record = fields.reason_record(header)?;
                Self::Reason(record, ReasonKind::from_u32(record.reason)?)
            }
            RecordKind::AlreadyOpen => {
                Self::AlreadyOpen(Box::new(fields.already_open_record(header)?))
            }
            RecordKind::ProcessExit => Self::ProcessExit(fields.process_record(header)?),
            RecordKind::ProcessExec => Self::ProcessExec(fields.process_record(header)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u16, size: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(size.to_ne_bytes());
        bytes.extend(77u32.to_ne_bytes());
        bytes.extend(5u64.to_ne_bytes());
        bytes.extend(18u64.to_ne_bytes());
        bytes.extend(1_000u64.to_ne_bytes());
        bytes
    }

    fn entry(size: u16) -> Vec<u8> {
        entry_with_flags(size, 1)
    }

    fn entry_with_flags(size: u16, flags: u16) -> Vec<u8> {
        let mut bytes = header(1, size);
        bytes.extend(200u64.to_ne_bytes());
        bytes.extend(0x40_1000u64.to_ne_bytes());
        bytes.extend(0x40_2000u64.to_ne_bytes());
        bytes.extend(3u32.to_ne_bytes());
        bytes.extend(1u16.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes
    }

    #[test]
    fn an_entry_has_its_fields() {
        let Ok(Record::Entry(record)) = Record::decode(&entry(64)) else {
            panic!("not an entry");
        };
        assert_eq!(
            record,
            EntryRecord {
                header: RecordHeader {
                    kind: 1,
                    size: 64,
                    tgid: 77,
                    sequence: 5,
                    goid: 18,
                    time_ns: 1_000,
                },
                depth_bytes: 200,
                return_address: 0x40_1000,
                instruction_pointer: 0x40_2000,
                site: 3,
                tree: 1,
                flags: 1,
            }
        );
    }

    #[test]
    fn a_longer_record_of_a_known_kind_is_read() {
        let mut bytes = entry(72);
        bytes.extend(9u64.to_ne_bytes());
        assert!(matches!(Record::decode(&bytes), Ok(Record::Entry(_))));
    }

    #[test]
    fn an_entry_of_a_chained_call_says_where_its_end_is_seen() {
        let mut bytes = entry_with_flags(72, record_flags::PROMOTED | record_flags::CHAINED);
        bytes.extend(0x40_3000u64.to_ne_bytes());
        let Ok(Record::ChainedEntry(record)) = Record::decode(&bytes) else {
            panic!("not a chained entry");
        };
        assert_eq!((record.entry.depth_bytes, record.end), (200, 0x40_3000));
        let cut = entry_with_flags(64, record_flags::CHAINED);
        assert!(Record::decode(&cut).is_err());
    }

    #[test]
    fn an_unknown_kind_is_told_apart_from_a_malformed_record() {
        assert_eq!(
            Record::decode(&header(99, 32)),
            Err(RecordError::UnknownKind(99))
        );
        assert_eq!(
            Record::decode(&entry(64)[..63]),
            Err(RecordError::Malformed {
                kind: 1,
                available: 63
            })
        );
        // The header says that the record ends before its fields do.
        assert_eq!(
            Record::decode(&entry(40)),
            Err(RecordError::Malformed {
                kind: 1,
                available: 64
            })
        );
        assert!(Record::decode(&[]).is_err());
    }
}

//! The protobuf of an OTLP trace export, written field by field: a dozen fields do not need a compiler of schemas.
//!
//! Field numbers are those of `opentelemetry/proto/trace/v1/trace.proto`, `common.proto` and `resource.proto`, version 1:
//! <https://github.com/open-telemetry/opentelemetry-proto>. They never change.

/// A message that is being written.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A field of bytes, or nothing when there are none.
    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.length_delimited(field, bytes);
        }
    }

    /// A field of text.
    pub(crate) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A message within, even an empty one.
    pub(crate) fn message(&mut self, field: u32, message: &Message) {
        self.length_delimited(field, &message.0);
    }

    /// A number of variable length, and enums.
    pub(crate) fn number(&mut self, field: u32, number: u64) {
        self.tag(field, 0);
        self.varint(number);
    }

    /// A number of eight bytes.
    pub(crate) fn fixed64(&mut self, field: u32, number: u64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A number of four bytes.
    pub(crate) fn fixed32(&mut self, field: u32, number: u32) {
        self.tag(field, 5);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Messages that were written before, one after the other.
    pub(crate) fn append(&mut self, messages: &Message) {
        self.0.extend_from_slice(&messages.0);
    }

    /// `KeyValue` with a text.
    pub(crate) fn attribute(&mut self, field: u32, key: &str, value: &str) {
        let mut any = Message::default();
        // An empty text is a value too.
        any.length_delimited(1, value.as_bytes());
        self.key_value(field, key, &any);
    }

    /// `KeyValue` with a whole number.
    pub(crate) fn attribute_number(&mut self, field: u32, key: &str, value: u64) {
        let mut any = Message::default();
        any.number(3, value);
        self.key_value(field, key, &any);
    }

    fn key_value(&mut self, field: u32, key: &str, any: &Message) {
        let mut pair = Message::default();
        pair.text(1, key);
        pair.message(2, any);
        self.message(field, &pair);
    }

    fn length_delimited(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: numbers, texts and messages are written as the encoding of protobuf says.
    #[test]
    fn fields_are_written() {
        let mut inner = Message::default();
        inner.number(1, 150);
        let mut message = Message::default();
        message.message(3, &inner);
        message.text(2, "testing");
        message.text(4, "");
        assert_eq!(message.into_bytes(), b"\x1a\x03\x08\x96\x01\x12\x07testing");
    }
}

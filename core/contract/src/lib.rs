//! Wire types and error codes shared by the server and every SDK.

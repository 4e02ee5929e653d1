// The same as for CommonJS, so that there is one copy of each class however a program is made.
import testing from "./testing.cjs";

export const { startTestServer, TestServer, TestServerError } = testing;

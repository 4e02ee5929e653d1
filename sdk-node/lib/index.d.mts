// The same declarations as for CommonJS.
export * from "./index.cjs";
import * as sdk from "./index.cjs";
export default sdk;

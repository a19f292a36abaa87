import "./setup.js";
import "../recovery.test.js";

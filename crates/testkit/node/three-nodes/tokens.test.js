import "./setup.js";
import "../tokens.test.js";

import "./setup.js";
import "../messages.test.js";

import "./setup.js";
import "../events.test.js";

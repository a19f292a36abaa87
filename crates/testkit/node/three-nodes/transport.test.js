import "./setup.js";
import "../transport.test.js";

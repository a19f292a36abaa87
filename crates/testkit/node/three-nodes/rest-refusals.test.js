import "./setup.js";
import "../rest-refusals.test.js";

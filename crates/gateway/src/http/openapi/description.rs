//! What an operation's own file tells of it.

use carillon_protocol::problem::Code;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, HeaderBuilder, HttpMethod, ObjectBuilder, Ref, RefOr, Required,
        ResponseBuilder, Schema, SecurityRequirement,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::AnyOfBuilder,
    },
};

use super::{BEARER, refusals::Refusal, schemas};

/// Schemas by their names.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// One operation: what it is for, what it takes, what it answers and what it refuses.
pub struct Description {
    operation: OperationBuilder,
    parameters: Vec<Parameter>,
    answers: Vec<(u16, ResponseBuilder)>,
    refusals: Vec<Refusal>,
    schemas: Schemas,
}

impl std::fmt::Debug for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Description")
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}

impl Description {
    /// `id` is unique; `summary` is a line, `text` may be several paragraphs of Markdown.
    #[must_use]
    pub fn new(id: &str, summary: &str, text: &str) -> Self {
        Self {
            operation: OperationBuilder::new()
                .operation_id(Some(id))
                .summary(Some(summary))
                .description(Some(text)),
            parameters: Vec::new(),
            answers: Vec::new(),
            refusals: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// The group it belongs to.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.operation = self.operation.tag(tag);
        self
    }

    /// It takes a token.
    #[must_use]
    pub fn secured(mut self) -> Self {
        self.operation = self
            .operation
            .security(SecurityRequirement::new(BEARER, [] as [&str; 0]));
        self
    }

    /// A parameter of the path.
    #[must_use]
    pub fn path<T: ToSchema>(mut self, name: &str, text: &str) -> Self {
        let schema = self.reference::<T>();
        self.parameter(ParameterIn::Path, Required::True, name, text, schema)
    }

    /// A parameter of the path that has no schema by name.
    #[must_use]
    pub fn path_text(self, name: &str, text: &str, schema: ObjectBuilder) -> Self {
        self.parameter(ParameterIn::Path, Required::True, name, text, schema.into())
    }

    /// A key of the query, which may be left out.
    #[must_use]
    pub fn query(self, name: &str, text: &str, schema: ObjectBuilder) -> Self {
        self.parameter(ParameterIn::Query, Required::False, name, text, schema.into())
    }

    /// A key of the query that names a `T` and may be left out.
    #[must_use]
    pub fn query_of<T: ToSchema>(mut self, name: &str, text: &str) -> Self {
        let schema = self.reference::<T>();
        self.parameter(ParameterIn::Query, Required::False, name, text, schema)
    }

    fn parameter(
        mut self,
        place: ParameterIn,
        required: Required,
        name: &str,
        text: &str,
        schema: RefOr<Schema>,
    ) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(text))
            .schema(Some(schema));
        self.parameters.push(parameter.build());
        self
    }

    /// The JSON body that it takes.
    #[must_use]
    pub fn takes<T: ToSchema>(mut self, text: &str, example: Value) -> Self {
        let content = ContentBuilder::new()
            .schema(Some(self.reference::<T>()))
            .example(Some(example));
        let body = RequestBodyBuilder::new()
            .description(Some(text))
            .required(Some(Required::True))
            .content("application/json", content);
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    /// A JSON answer.
    #[must_use]
    pub fn answers<T: ToSchema>(mut self, status: u16, text: &str, example: Value) -> Self {
        let schema = self.reference::<T>();
        self.answers_json(status, text, schema, example)
    }

    /// A JSON answer of one of three forms.
    #[must_use]
    pub fn answers_any<A: ToSchema, B: ToSchema, C: ToSchema>(
        mut self,
        status: u16,
        text: &str,
        example: Value,
    ) -> Self {
        let forms = AnyOfBuilder::new()
            .item(self.reference::<A>())
            .item(self.reference::<B>())
            .item(self.reference::<C>());
        self.answers_json(status, text, Schema::from(forms).into(), example)
    }

    fn answers_json(self, status: u16, text: &str, schema: RefOr<Schema>, example: Value) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example));
        self.answers_with(status, text, Some(("application/json", content.build())))
    }

    /// A text as its answer.
    #[must_use]
    pub fn answers_text(self, status: u16, text: &str, content_type: &'static str, example: &str) -> Self {
        let content = ContentBuilder::new()
            .schema(Some(schemas::string()))
            .example(Some(example.into()));
        self.answers_with(status, text, Some((content_type, content.build())))
    }

    /// An answer without a body.
    #[must_use]
    pub fn answers_nothing(self, status: u16, text: &str) -> Self {
        self.answers_with(status, text, None)
    }

    fn answers_with(mut self, status: u16, text: &str, content: Option<(&'static str, Content)>) -> Self {
        let mut response = ResponseBuilder::new().description(text);
        if let Some((content_type, content)) = content {
            response = response.content(content_type, content);
        }
        self.answers.push((status, response));
        self
    }

    /// A header of the answer before.
    #[must_use]
    pub fn with_header(mut self, name: &str, text: &str, schema: ObjectBuilder) -> Self {
        if let Some((status, response)) = self.answers.pop() {
            let header = HeaderBuilder::new().description(Some(text)).schema(Some(schema));
            self.answers.push((status, response.header(name, header.build())));
        }
        self
    }

    /// A refusal with the status of its code; `message` is how the node words it.
    #[must_use]
    pub fn refuses(mut self, code: Code, message: &str) -> Self {
        self.refusals.push(Refusal {
            code,
            message: message.to_owned(),
            unsuccessful: false,
        });
        self
    }

    /// It reads a JSON body: what that may be refused for.
    #[must_use]
    pub fn reads_body(self) -> Self {
        self.refuses(Code::TooLarge, "Request body too large").refuses(
            Code::UnsupportedMediaType,
            "Content-Type must be application/json, without Content-Encoding",
        )
    }

    /// It works on the store, and says `message` where that fails.
    #[must_use]
    pub fn fails(self, message: &str) -> Self {
        self.refuses(Code::Internal, message)
            .refuses(Code::Unavailable, message)
    }

    /// The bodies of the refusals so far say `success: false`.
    #[must_use]
    pub fn tells_success(mut self) -> Self {
        for refusal in &mut self.refusals {
            refusal.unsuccessful = true;
        }
        self
    }

    /// Whether it refuses anything with this code.
    #[must_use]
    pub fn has_refusal(&self, code: Code) -> bool {
        self.refusals.iter().any(|refusal| refusal.code == code)
    }

    /// The schema of `T` by its name; it and what it refers to are kept.
    fn reference<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        Ref::from_schema_name(T::name()).into()
    }

    /// The finished operation, and the schemas that it refers to.
    pub(super) fn finish(mut self) -> (Operation, Schemas) {
        // As they stand in a URL.
        self.parameters
            .sort_by_key(|parameter| parameter.parameter_in != ParameterIn::Path);
        let parameters = Some(self.parameters).filter(|parameters| !parameters.is_empty());
        let (mut operation, mut schemas) = (self.operation.parameters(parameters), self.schemas);
        for (status, response) in self.answers {
            operation = operation.response(status.to_string(), response);
        }
        for refusal in &self.refusals {
            operation = operation.response(refusal.status().to_string(), refusal.response());
            schemas.push(refusal.schema());
        }
        (operation.build(), schemas)
    }
}

/// A method by its name; `None` for one that no route has.
pub(super) fn method(name: &str) -> Option<HttpMethod> {
    match name {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        "PATCH" => Some(HttpMethod::Patch),
        "DELETE" => Some(HttpMethod::Delete),
        _ => None,
    }
}

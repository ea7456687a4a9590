//! //! DNS questions
